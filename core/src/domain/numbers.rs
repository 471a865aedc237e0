//! How people write numbers and read them.

/// What is wrong with a written number; each field has its own sentence for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NumberError {
    Empty,
    Negative,
    Separator,
    Junk,
    TooFine,
    TooLarge,
}

/// Reads a written number (`1,234.5`, `10k`, `1.5m`) as exact billionths, so that no float is needed.
/// Separators must stand before groups of three digits: a decimal comma (`1,5`) must not become 15.
pub(crate) fn read_billionths(text: &str) -> Result<u128, NumberError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(NumberError::Empty);
    }
    if text.starts_with(['-', '−']) {
        return Err(NumberError::Negative);
    }
    let (number, times) = match text.strip_suffix(['k', 'K']) {
        Some(number) => (number.trim_end(), 1_000),
        None => match text.strip_suffix(['m', 'M']) {
            Some(number) => (number.trim_end(), 1_000_000),
            None => (text, 1),
        },
    };
    let known = |c: char| c.is_ascii_digit() || c == '.' || is_separator(c);
    if !number.chars().all(known) || !number.contains(|c: char| c.is_ascii_digit()) {
        return Err(NumberError::Junk);
    }
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    if decimals.contains('.') {
        return Err(NumberError::Junk);
    }
    let mut groups = whole.split(is_separator);
    let first = groups.next().unwrap_or_default();
    let in_threes = groups.clone().all(|group| group.len() == 3);
    let alone = groups.next().is_none();
    if decimals.contains(is_separator) || !(alone || in_threes && (1..=3).contains(&first.len())) {
        return Err(NumberError::Separator);
    }
    if decimals.len() > 9 {
        return Err(NumberError::TooFine);
    }
    let digits: String = whole.chars().filter(char::is_ascii_digit).collect();
    let digits = digits.trim_start_matches('0');
    // Twenty digits are far past every limit here and leave room in the product below.
    if digits.len() > 20 {
        return Err(NumberError::TooLarge);
    }
    let scaled: u128 = format!("0{digits}{decimals:0<9}").parse().map_err(|_| NumberError::Junk)?;
    Ok(scaled * times)
}

fn is_separator(c: char) -> bool {
    c == ',' || c.is_whitespace()
}

/// A count with a comma before every three digits: `1,234,567`.
pub fn grouped(count: i64) -> String {
    let digits = count.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if count < 0 {
        text.push('-');
    }
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `12`, or `1,000+` where counting stopped above that.
pub fn grouped_to(count: i64, max: i64) -> String {
    if count > max { format!("{}+", grouped(max)) } else { grouped(count) }
}

/// `1 request`, `1,204 requests`
pub fn counted(count: i64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{} {what}s", grouped(count)) }
}

/// `90 days`, as people read it.
pub fn days_words(days: i64) -> String {
    match days {
        1 => "1 day".into(),
        365 => "1 year".into(),
        days => format!("{} days", grouped(days)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_stand_before_every_three_digits() {
        for (count, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_234_567, "1,234,567"),
            (-100_000, "-100,000"),
            (i64::MIN, "-9,223,372,036,854,775,808"),
        ] {
            assert_eq!(grouped(count), text);
        }
    }

    #[test]
    fn a_count_says_where_it_stopped() {
        for (count, text) in [(0, "0"), (1_000, "1,000"), (1_001, "1,000+")] {
            assert_eq!(grouped_to(count, 1_000), text);
        }
    }
}
