//! The right to change what belongs to the installation and to no organisation: where models are served and what they
//! cost. The store asks for it with every such write, so a forgotten check does not compile.

use super::policy::{AccessDenied, PlatformRole};

/// Who runs the installation. Made here only.
#[derive(Clone, Debug)]
pub struct OperatorPermit {
    who: String,
}

impl OperatorPermit {
    /// Somebody who is signed in.
    ///
    /// # Errors
    /// `Hidden` for who is no operator: to them none of it is there.
    pub fn person(platform: PlatformRole, who: String) -> Result<Self, AccessDenied> {
        match platform {
            PlatformRole::Operator => Ok(Self { who }),
            PlatformRole::Support | PlatformRole::None => Err(AccessDenied::Hidden),
        }
    }

    /// The program itself, asked by whoever may run it.
    pub fn program(who: &'static str) -> Self {
        Self { who: who.to_owned() }
    }

    /// For the log.
    pub fn who(&self) -> &str {
        &self.who
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_but_an_operator_changes_what_belongs_to_the_installation() {
        let ask = |platform| OperatorPermit::person(platform, "Ana".into());
        assert_eq!(ask(PlatformRole::Operator).unwrap().who(), "Ana");
        assert_eq!(ask(PlatformRole::Support).unwrap_err(), AccessDenied::Hidden);
        assert_eq!(ask(PlatformRole::None).unwrap_err(), AccessDenied::Hidden);
    }
}
