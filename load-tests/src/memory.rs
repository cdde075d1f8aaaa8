//! What the memory of accepted sends costs: a day at 1,000 sends a second, in this process and without a socket.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use sendfuse::breaker::Generation;
use sendfuse::graph::ids::PhoneNumberId;
use sendfuse::registry::{Accepted, Inline, Observed, REMEMBERED, Sends};
use sendfuse::time::Timestamp;

use crate::Result;

const PER_SECOND: usize = 1_000;
const SECONDS: usize = 86_400;
/// A thousand sends are looked up once in so many seconds.
const LOOK_EVERY: usize = 10;
/// Statuses come within this many sends of theirs.
const RECENT: usize = REMEMBERED / 10 * 9;
/// What is so old is forgotten.
const OLD: usize = REMEMBERED / 10 * 11;
/// The most that the whole process may ever have resident.
const MOST_BYTES: u64 = 100_000_000;

/// Remembers a day's sends, prints what that took, and fails if it is too much or if anything is kept or forgotten that should
/// not be.
pub(crate) fn run() -> Result<()> {
    let phone = PhoneNumberId::parse("106540352242922")?;
    let (sends, mut wamid) = (Sends::new([7; 16]), String::new());
    let before = resident("VmRSS:")?;
    let (mut remembering, mut looking, mut looked) = (Duration::ZERO, Duration::ZERO, 0_u32);
    for second in 0..SECONDS {
        let (first, began) = (second * PER_SECOND, Instant::now());
        for n in first..first + PER_SECOND {
            let key = sends.key_of(phone, name(&mut wamid, n));
            sends.remember(key, accepted(n));
        }
        remembering += began.elapsed();
        if second % LOOK_EVERY > 0 {
            continue;
        }
        let began = Instant::now();
        for n in 0..PER_SECOND {
            // Somewhere among the recent ones, each time elsewhere.
            let age = (n * 7_919 + second * 104_729) % RECENT;
            let n = (first + PER_SECOND - 1).saturating_sub(age);
            let found = sends.get(sends.key_of(phone, name(&mut wamid, n)));
            if found != Some(accepted(n)) {
                return Err(format!("send {n} of {} is not remembered", first + PER_SECOND).into());
            }
        }
        looking += began.elapsed();
        looked += u32::try_from(PER_SECOND)?;
        if let Some(old) = first.checked_sub(OLD)
            && sends.get(sends.key_of(phone, name(&mut wamid, old))).is_some()
        {
            return Err(format!("send {old} of {first} is still remembered").into());
        }
    }
    let (after, peak) = (resident("VmRSS:")?, resident("VmHWM:")?);
    let each = (after.saturating_sub(before)) as f64 / REMEMBERED as f64;
    println!("accepted sends: {} in a day of 1,000 a second, {REMEMBERED} remembered", SECONDS * PER_SECOND);
    println!("resident: {:.1} MB at the peak, {each:.1} bytes a remembered send", peak as f64 / 1e6);
    println!(
        "time, with the key: {:.0} ns to remember, {:.0} ns to look up",
        remembering.as_nanos() as f64 / (SECONDS * PER_SECOND) as f64,
        looking.as_nanos() as f64 / f64::from(looked)
    );
    if peak > MOST_BYTES {
        return Err(format!("{peak} bytes resident: more than {MOST_BYTES}").into());
    }
    Ok(())
}

/// A wamid of the usual length.
fn name(buffer: &mut String, n: usize) -> &str {
    buffer.clear();
    // Writing to a text cannot fail.
    let _ = write!(buffer, "wamid.HBgLMTY1MDM4Nzk0MzkVAgARGBI1RjQyNUE3NEYx{n:012}");
    buffer
}

fn accepted(n: usize) -> Accepted {
    Accepted {
        class: None,
        country: None,
        at: Timestamp::from_millis(i64::try_from(n).unwrap_or_default()),
        generation: Generation(3),
        fbtrace_id: Inline::new("Az8or2yhqkZfEZ-_4Qn_Bam"),
        recipient: Inline::new("…1234"),
        leaked: false,
        observed: Observed::None,
    }
}

/// Bytes, from a line of this process's status.
fn resident(name: &str) -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name)).ok_or("no such line")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}
