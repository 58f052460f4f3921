//! What was found broken: kept in `damaged/reports.json` until someone says that they have read it.

use crate::files;
use crate::segment::Segment;
use kilo_ports::store::Damage;
use kilo_protocol::SessionId;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Reports kept; beyond that the oldest go.
const REPORTS_MAX: usize = 1_000;
/// Sessions named in one report.
pub(crate) const SESSIONS_MAX: usize = 1_000;

/// A range that is broken or gone, before it is reported.
#[derive(Debug, Default)]
pub(crate) struct Broken {
    pub(crate) number: u32,
    pub(crate) file: PathBuf,
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
    pub(crate) sessions: BTreeSet<SessionId>,
    pub(crate) what: Cow<'static, str>,
    /// Whether the bytes are there to be copied.
    pub(crate) present: bool,
    /// Whether each later start finds it again, so that it is the same damage then. Bytes that are gone from an end are
    /// gone anew each time.
    pub(crate) lasting: bool,
    /// The bytes are as they were written; it is their reader who does not understand them. Such a record is known by
    /// its name and its session, for a rewriting moves it.
    pub(crate) whole: bool,
}

impl Broken {
    /// The same, to be found again by each later start.
    pub(crate) fn lasting(self) -> Self {
        Self {
            lasting: true,
            ..self
        }
    }
}

#[derive(Clone, Serialize, Deserialize)]
struct Report {
    file: PathBuf,
    offset: u64,
    bytes: u64,
    sessions: Vec<SessionId>,
    what: String,
    set_aside: Option<PathBuf>,
    read: bool,
    /// Shown until this process ends; the next start finds the damage by itself.
    #[serde(skip)]
    fleeting: bool,
}

/// The reports of a data folder.
pub(crate) struct Damages {
    folder: PathBuf,
    reports: Mutex<Vec<Report>>,
}

impl Damages {
    /// Reads the reports of earlier starts.
    pub(crate) fn open(folder: &Path) -> Self {
        let stored = fs::read(folder.join("reports.json")).ok();
        let reports = stored
            // Reports that cannot be read are no reason not to start; damage that is still there is found anew.
            .and_then(|body| serde_json::from_slice(&body).ok())
            .unwrap_or_default();
        Self {
            folder: folder.to_owned(),
            reports: Mutex::new(reports),
        }
    }

    /// Reports ranges, each once, and keeps the reports. `segment` is where their bytes are.
    pub(crate) fn report(
        &self,
        broken: impl IntoIterator<Item = Broken>,
        segment: Option<&Segment>,
    ) {
        let mut any_new = false;
        for range in broken {
            any_new |= self.add(range, segment);
        }
        if any_new {
            self.keep();
        }
    }

    /// Adds a report that [`Damages::keep`] writes down: the bytes are copied to `damaged/` as far as the disk has room.
    /// Returns whether it is new.
    pub(crate) fn add(&self, broken: Broken, segment: Option<&Segment>) -> bool {
        let mut reports = self.reports.lock();
        let same = |report: &&mut Report| {
            if broken.whole {
                return report.what == broken.what && report.sessions.iter().eq(&broken.sessions);
            }
            (broken.lasting || broken.present)
                && report.file == broken.file
                && report.offset == broken.offset
        };
        // Later starts may know more of whose it was.
        if let Some(known) = reports.iter_mut().find(same) {
            let mut sessions: BTreeSet<_> = known.sessions.drain(..).collect();
            sessions.extend(broken.sessions);
            known.sessions = sessions.into_iter().take(SESSIONS_MAX).collect();
            return false;
        }
        let set_aside = segment
            .filter(|_| broken.present && broken.bytes > 0)
            .and_then(|s| self.set_aside(s, &broken));
        tracing::warn!(file = %broken.file.display(), offset = broken.offset, bytes = broken.bytes, what = %broken.what,
            sessions = broken.sessions.len(), "log is damaged");
        reports.push(Report {
            file: broken.file,
            offset: broken.offset,
            bytes: broken.bytes,
            sessions: broken.sessions.into_iter().take(SESSIONS_MAX).collect(),
            what: broken.what.into_owned(),
            set_aside,
            read: false,
            fleeting: false,
        });
        // A disk that fails makes reports without end; the newest say what it does now.
        if reports.len() > REPORTS_MAX {
            reports.remove(0);
        }
        true
    }

    /// Shows, until this process ends, what happened to a file while it was in use.
    pub(crate) fn notice(&self, file: PathBuf, offset: u64, what: String) {
        self.reports.lock().push(Report {
            file,
            offset,
            bytes: 0,
            sessions: Vec::new(),
            what,
            set_aside: None,
            read: false,
            fleeting: true,
        });
    }

    /// The reports that nobody has acknowledged.
    pub(crate) fn open_reports(&self) -> Vec<Damage> {
        let reports = self.reports.lock();
        let open = reports.iter().filter(|report| !report.read).cloned();
        open.map(|report| Damage {
            file: report.file,
            offset: report.offset,
            bytes: report.bytes,
            sessions: report.sessions,
            what: report.what,
            set_aside: report.set_aside,
        })
        .collect()
    }

    /// Shows them no more.
    pub(crate) fn acknowledge(&self) {
        let mut reports = self.reports.lock();
        for report in reports.iter_mut() {
            report.read = true;
        }
        drop(reports);
        self.keep();
    }

    /// Whether a bad range of this file has its copy, so that the file itself may go.
    pub(crate) fn has_copy(&self, file: &Path, offset: u64) -> bool {
        let reports = self.reports.lock();
        reports.iter().any(|report| {
            report.file == file && report.offset == offset && report.set_aside.is_some()
        })
    }

    fn set_aside(&self, segment: &Segment, broken: &Broken) -> Option<PathBuf> {
        let name = broken.file.file_stem()?.to_string_lossy().into_owned();
        let path = self.folder.join(format!("{name}-{}.bin", broken.offset));
        let copied = copy_range(segment, broken.offset, broken.bytes, &path);
        if let Err(error) = copied {
            tracing::warn!(%error, path = %path.display(), "damaged bytes were not copied");
            let _ = fs::remove_file(&path);
            return None;
        }
        Some(path)
    }

    /// Writes the reports down.
    pub(crate) fn keep(&self) {
        let reports = self.reports.lock();
        // Under the lock, so that two threads do not write an older list over a newer one.
        let lasting: Vec<&Report> = reports.iter().filter(|report| !report.fleeting).collect();
        let body = serde_json::to_vec_pretty(&lasting).map_err(io::Error::from);
        let saved = body.and_then(|body| {
            files::make_folder(&self.folder)?;
            files::replace(&self.folder.join("reports.json"), &body)
        });
        if let Err(error) = saved {
            tracing::warn!(%error, "damage reports were not saved");
        }
    }
}

fn copy_range(segment: &Segment, offset: u64, bytes: u64, path: &Path) -> io::Result<()> {
    files::make_folder(path.parent().unwrap_or(Path::new(".")))?;
    let mut from = File::open(&segment.path)?;
    from.seek(SeekFrom::Start(offset))?;
    let mut to = files::create(path)?;
    io::copy(&mut from.take(bytes), &mut to)?;
    // The rewriting removes the original after this.
    to.sync_all()
}
