//! The accounts that signed in on this device, in a cookie for a year. It opens no session: it only says whose attempts to sign
//! in from here are counted apart from everyone else's.

use keydesk_core::domain::ids::{PersonId, SessionId};
use keydesk_core::ops::lane::KnownDevice;

use crate::ask::desk;
use crate::error::AppError;
use crate::sealed::{self, DEVICE};

/// People who share a computer.
const MAX_ACCOUNTS: usize = 4;

pub fn known() -> Vec<KnownDevice> {
    let now = desk().map(|desk| desk.now());
    now.ok().and_then(|now| sealed::peek(DEVICE, "/", now)).unwrap_or_default()
}

/// After they have proved wholly who they are.
pub fn remember(person: &PersonId) -> Result<(), AppError> {
    let (desk, mut devices) = (desk()?, known());
    let device = match devices.iter().position(|device| device.person == *person) {
        Some(at) => devices.remove(at),
        None => KnownDevice { person: person.clone(), id: SessionId::new(desk.now(), desk.id_entropy()) },
    };
    devices.insert(0, device);
    devices.truncate(MAX_ACCOUNTS);
    sealed::send(DEVICE, "/", devices, desk.now());
    Ok(())
}
