//! The journal on a disk: `<state directory>/<incident>.jsonl`, one fsync a line, one writer at a time.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::ids::IncidentId;
use crate::journal::{self, Journal, JournalError, Past, Store};

/// What a journal's name ends with, after the incident's id.
const ENDING: &str = ".jsonl";

/// An open journal file, locked against a second process until it is dropped.
pub struct JournalFile {
    file: File,
    path: PathBuf,
}

/// Opens the journal of an incident, or begins it; the directory is made if need be, for the owner alone.
///
/// # Errors
/// [`JournalError`], when the file cannot be opened, is not a journal, or another quell has it open.
pub fn open(directory: &Path, incident: &IncidentId) -> Result<Journal<JournalFile>, JournalError> {
    open_named(directory, incident.as_str())
}

/// Opens a journal of this name.
///
/// # Errors
/// As [`open`].
pub fn open_named(directory: &Path, name: &str) -> Result<Journal<JournalFile>, JournalError> {
    let path = directory.join(format!("{name}{ENDING}"));
    let failed =
        |error: std::io::Error| JournalError::Store(format!("{}: {error}", path.display()));
    make_private(directory).map_err(failed)?;
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&path).map_err(failed)?;
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => JournalError::Store(format!(
            "{}: another quell is working on this incident",
            path.display()
        )),
        TryLockError::Error(error) => failed(error),
    })?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(failed)?;
    // A crash in the middle of a write leaves a line without its end, perhaps in the middle of a character. What it
    // announced was not yet called, so the line is cut off and the journal goes on.
    let whole = whole_lines(&bytes).len();
    if whole < bytes.len() {
        file.set_len(whole as u64).map_err(failed)?;
    }
    bytes.truncate(whole);
    let text = String::from_utf8(bytes)
        .map_err(|_| JournalError::Unreadable(format!("{}: not UTF-8", path.display())))?;
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    // The file's name must be as durable as its lines.
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(failed)?;
    let at = path.display().to_string();
    Journal::after(&lines, JournalFile { file, path }).map_err(|error| match error {
        JournalError::Unreadable(why) => JournalError::Unreadable(format!("{at}: {why}")),
        JournalError::Impossible(_) | JournalError::Store(_) | JournalError::Newer { .. } => error,
    })
}

/// The journals of the incidents that this machine has worked on. Reads only; a directory that is not there has none.
///
/// # Errors
/// When the directory is there and cannot be read.
pub fn list(directory: &Path) -> std::io::Result<Vec<Past>> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let incident = name
            .and_then(|name| name.strip_suffix(ENDING))
            .and_then(|id| IncidentId::parse(id).ok());
        let Some(incident) = incident.filter(|_| path.is_file()) else {
            continue;
        };
        let state = std::fs::read(&path)
            .map_err(|error| JournalError::Store(format!("{}: {error}", path.display())))
            .and_then(|bytes| journal::check(whole_lines(&bytes)))
            .map(|(state, _)| state);
        found.push(Past { incident, state });
    }
    found.sort_by(|one, other| one.incident.cmp(&other.incident));
    Ok(found)
}

/// Without the line that a crash has cut off.
fn whole_lines(bytes: &[u8]) -> &[u8] {
    let end = bytes
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |end| end + 1);
    bytes.get(..end).unwrap_or_default()
}

fn make_private(directory: &Path) -> std::io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(directory)
}

impl Store for JournalFile {
    fn append(&mut self, line: &str) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("{}: {error}", self.path.display());
        self.file
            .write_all(format!("{line}\n").as_bytes())
            .map_err(failed)?;
        self.file.sync_data().map_err(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_a_crash_cut_off_is_cut_off_and_the_journal_goes_on() {
        let directory = std::env::temp_dir().join(format!("quell-torn-{}", std::process::id()));
        let incident = IncidentId::from_bytes([1, 2, 3]);
        let event = |text: &str| crate::journal::Event::TakenUp {
            incident: IncidentId::from_bytes([1, 2, 3]),
            purpose: crate::journal::Purpose::Verify,
            operator: text.to_owned(),
            forced_past: None,
        };
        let now = jiff::Timestamp::UNIX_EPOCH;
        open(&directory, &incident)
            .unwrap()
            .record(now, event("a"))
            .unwrap();
        let path = directory.join("q-010203.jsonl");
        // In the middle of a character of two bytes.
        OpenOptions::new()
            .append(true)
            .open(&path)
            .unwrap()
            .write_all(b"{\"operator\":\"Zo\xc3")
            .unwrap();
        open(&directory, &incident)
            .unwrap()
            .record(now, event("b"))
            .unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 2, "{text}");
        open(&directory, &incident).unwrap();
        std::fs::write(&path, text.replace("\"a\"", "\"x\"")).unwrap();
        assert!(matches!(
            open(&directory, &incident),
            Err(JournalError::Unreadable(_))
        ));
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
