//! A teacher's answers to every example, asked once and kept on disk: in a folder that stages which ask the same share,
//! or in the stage's own while it runs.
//!
//! `teacher-memory.bin` holds a row an example, shortest example first: the parts of the answer without
//! padding, and a checksum. Examples are put to the teacher in batches that are a function of their
//! lengths alone, so that an answer is the same whether the run was interrupted or not.
//! `teacher-memory.json` says how far the file is written; it is renamed into place after a sync. In a shared folder
//! whoever asks holds `lock` alone, and whoever reads holds it with others.

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use serde::{Deserialize, Serialize};
use tch::Kind;
use tinyrun::data::batches::plan_by_tokens;
use tinyrun::data::store::TokenStore;
use tinyrun::job::{self, Event, Job, Objective, PadTo, Reduction, Train};
use tinyrun::system::{Locking, try_lock_shared};

use crate::answers::{Answers, CHECKSUM, Layout, Part, rows};
use crate::batch::{Batch, Block};
use crate::checkpoint::write_and_rename;
use crate::device::Compute;
use crate::error::{KernelError, io};
use crate::feed::Data;
use crate::ranks::Ranks;
use crate::reporter::Reporter;
use crate::stop::Stop;
use crate::target::{Target, Teacher, asks_logits};

/// Version of the file's form.
const VERSION: u32 = 1;
/// Tokens that are put to the teacher at once, about; few in tests, whose data is small.
const TOKENS_AT_ONCE: usize = if cfg!(test) { 64 } else { 4096 };
/// Between two syncs, and so the most that an interruption costs.
const SYNC_EVERY: Duration = Duration::from_secs(20);
/// Between two events.
const TELL_EVERY: Duration = Duration::from_millis(500);
/// Between two looks at a lock that somebody else has.
const WAIT: Duration = Duration::from_millis(500);
/// Disk that is left to others.
const SPARE: u64 = 1_000_000_000;

/// How asking the teacher ended.
pub(crate) enum Asked {
    /// Every answer is there.
    Remembered(TeacherMemory),
    /// The teacher is asked in every step; with what should be told about it.
    InEveryStep(Option<String>),
    /// On request; what was answered is kept.
    Interrupted,
}

/// Every answer, on disk.
#[derive(Debug)]
pub(crate) struct TeacherMemory {
    path: PathBuf,
    file: File,
    layout: Arc<Layout>,
    /// Where the row of each place of [`Data::lengths`] begins.
    offsets: Vec<u64>,
    /// Whether they are a file of an earlier stage.
    is_given: bool,
    /// Held while they are read, where they are shared.
    _lock: Option<File>,
}

impl TeacherMemory {
    /// Answers that were given in a file, with a row for each row of the store of `data`.
    ///
    /// # Errors
    /// Another size than that.
    pub(crate) fn given(path: &Path, data: &Data, classes: usize) -> Result<Self, KernelError> {
        let layout = Layout {
            parts: vec![Part::Logits(classes)],
            kind: Kind::Float,
        };
        // Logits have no length.
        let row = layout.bytes(0) as u64;
        let file = File::open(path).map_err(io("open", path))?;
        let size = file.metadata().map_err(io("read", path))?.len();
        if size != row * data.train.len() as u64 {
            return Err(KernelError::DamagedPredictions {
                path: path.to_owned(),
            });
        }
        Ok(Self {
            path: path.to_owned(),
            file,
            layout: Arc::new(layout),
            offsets: data
                .rows
                .iter()
                .map(|&place| u64::from(place) * row)
                .collect(),
            is_given: true,
            _lock: None,
        })
    }

    /// The answers to the rows of `block`, padded as it is.
    ///
    /// # Errors
    /// What the disk says; a row that is not what was written.
    pub(crate) fn answers(&self, data: &Data, block: &Block) -> Result<Answers, KernelError> {
        let places = block.places.iter().map(|&place| place as usize);
        let lengths: Vec<usize> = places
            .clone()
            .map(|place| data.lengths[place] as usize)
            .collect();
        let mut answers = Answers::empty(&self.layout, &lengths, block.padded());
        let mut bytes = Vec::new();
        for (row, (place, &length)) in places.zip(&lengths).enumerate() {
            bytes.resize(self.layout.bytes(length), 0);
            let cut = match self.file.read_exact_at(&mut bytes, self.offsets[place]) {
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => true,
                read => read.map(|()| false).map_err(io("read", &self.path))?,
            };
            let (answer, checksum) = bytes.split_at(bytes.len() - CHECKSUM);
            let is_damaged = cut || crc32fast::hash(answer).to_le_bytes() != checksum;
            if is_damaged && self.is_given {
                return Err(KernelError::DamagedPredictions {
                    path: self.path.clone(),
                });
            }
            if is_damaged {
                // So that whoever comes next asks again.
                remove_where_it_is(&self.path.with_file_name(DOCUMENT))?;
                return Err(KernelError::DamagedMemory {
                    path: self.path.clone(),
                });
            }
            answers.fill(row, length, answer);
        }
        Ok(answers)
    }
}

/// A teacher whose outputs are cached.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    /// Where, and how much may be.
    pub(crate) cache: &'a job::Teacher,
    pub(crate) model: &'a Teacher,
    /// Its own rows, where its tokenizer cuts others than the student's.
    pub(crate) rows: Option<&'a TokenStore>,
    /// Its place among the teachers.
    pub(crate) place: usize,
}

/// How far the file is written.
#[derive(Debug, Serialize, Deserialize)]
struct Standing {
    version: u32,
    /// What the answers depend on.
    key: String,
    /// Batches in the file.
    batches: usize,
}

/// Whether the teacher's answer to an example is the same in every epoch, and needed in more than one.
fn pays(train: &Train, teacher: &job::Teacher) -> bool {
    let same = match &train.objective {
        // Over the padded block the answers to padding count, and they differ with the padding.
        Objective::Intermediate { reduction, .. } => *reduction == Reduction::Tokens,
        objective => asks_logits(objective),
    };
    same && train.steps.epochs > 1 && !teacher.dropout
}

/// What the first rank has found where answers are kept, and decided.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum Begin {
    /// All are there.
    Asked,
    /// So many batches are there.
    From(usize),
    /// The teacher runs in every step; with a warning for the user, if there is one.
    InEveryStep(Option<String>),
    /// The user asked to stop.
    Interrupted,
}

/// Caches the outputs of a teacher for every example, or continues a cache, where it pays and fits; each rank computes a
/// part. A run that resumes from a checkpoint does as it did `before`, whatever the limit or the free space is now.
///
/// # Errors
/// The cache cannot be read or written; a rank is lost. A disk that has no room for a new cache is no error: the teacher
/// then runs in every step.
pub(crate) fn ask(
    (job, train): (&Job, &Train),
    before: Option<bool>,
    data: &Data,
    source: Source<'_>,
    (compute, pad_to): (Compute, PadTo),
    (reporter, stop, ranks): (&Reporter, &Stop, &Ranks),
) -> Result<Asked, KernelError> {
    let limit = source.cache.cache_bytes;
    if !(before.unwrap_or(limit > 0) && pays(train, source.cache)) {
        return Ok(Asked::InEveryStep(None));
    }
    let shared = source.cache.cache.as_ref();
    let shared = shared.map(|folder| folder_of(folder, compute, pad_to));
    let shared = shared.as_deref().filter(|folder| has_locks(folder));
    let store = source.rows.unwrap_or(&data.train);
    let lengths: Vec<u32> = data
        .rows
        .iter()
        .map(|&row| store.length(row as usize) as u32)
        .collect();
    let tokens = tokens_at_once(train, &lengths, shared.is_some());
    let batches = plan_by_tokens(&lengths, tokens);
    let answer = |batch: &[u32]| {
        let rows = batch.iter().map(|&place| data.rows[place as usize]);
        let rows: Vec<u32> = rows.collect();
        let batch = Batch::new(store, &rows, pad_to, compute.device);
        Target::of(&train.objective, Some(source.model), &batch)
    };
    // The shapes of the parts, from the shortest example.
    let shortest = &batches[0][..1];
    let length = lengths[shortest[0] as usize] as usize;
    let Some(layout) = Layout::of(&answer(shortest), length).map(Arc::new) else {
        return Ok(Asked::InEveryStep(None));
    };
    let (offsets, ends) = laid_out(&batches, &lengths, &layout);
    let end = ends.last().copied().unwrap_or(0);
    if before.is_none() && end > limit {
        return Ok(Asked::InEveryStep(None));
    }
    let own = own_folder(&job.output, source.place);
    let folder = shared.unwrap_or(&own);
    // A shared folder is named by the rest.
    let of = shared.map_or(job.fingerprint.as_str(), |_| "shared");
    let key = format!(
        "{of} {:?} {:?} {pad_to:?} {end}",
        compute.kind, compute.device
    );
    let total = lengths.len() as u64;
    let wait = || {
        // A kernel that says nothing may be taken for one that hangs.
        reporter.send(&Event::Asking { done: 0, total });
        stop.asked()
    };
    // Of the first rank, for all of them.
    let mut lock = None;
    let begin = ranks.first_does("looking for the teacher's outputs", || {
        let room = (limit, before.is_none());
        let (begin, held) = begin(folder, shared.is_some(), &key, &ends, room, wait)?;
        lock = held;
        Ok(begin)
    })?;
    let done = match begin {
        Begin::Asked => batches.len(),
        Begin::From(done) => done,
        Begin::InEveryStep(why) => return Ok(Asked::InEveryStep(why)),
        Begin::Interrupted => return Ok(Asked::Interrupted),
    };
    let file = opened(&bin(folder))?;
    let asking = Asking {
        folder,
        file: &file,
        key: &key,
        layout: &layout,
        offsets: &offsets,
        lengths: &lengths,
        is_padded: pad_to != PadTo::None,
    };
    if !asking.run(&batches, done, answer, (reporter, stop, ranks))? {
        return Ok(Asked::Interrupted);
    }
    if let Some(lock) = &lock {
        // From now on others may read beside this one.
        lock.lock_shared().map_err(io("lock", folder))?;
    }
    // Opened anew: what other machines have written may not be seen by what was open before.
    Ok(Asked::Remembered(TeacherMemory {
        path: bin(folder),
        file: opened(&bin(folder))?,
        layout,
        offsets,
        is_given: false,
        _lock: lock,
    }))
}

/// Looks for answers in `folder`, and makes room for the others. `ends` are where each batch ends in the file; all may
/// take `limit` bytes, if this run may still ask the teacher in every step. A shared folder stays locked by what is
/// returned beside.
///
/// # Errors
/// What the disk says.
fn begin(
    folder: &Path,
    is_shared: bool,
    key: &str,
    ends: &[u64],
    (limit, is_new): (u64, bool),
    wait: impl FnMut() -> bool,
) -> Result<(Begin, Option<File>), KernelError> {
    let end = ends.last().copied().unwrap_or(0);
    let lock = if is_shared {
        match turn(folder, key, (ends.len(), end), wait)? {
            Turn::Asked { lock } => return Ok((Begin::Asked, Some(lock))),
            Turn::Interrupted => return Ok((Begin::Interrupted, None)),
            Turn::Mine(lock) => Some(lock),
        }
    } else {
        None
    };
    fs::create_dir_all(folder).map_err(io("create", folder))?;
    let (done, written) = written_before(folder, key, ends)?;
    if is_shared && !make_room(folder, end, limit)? && is_new {
        return Ok((Begin::InEveryStep(None), None));
    }
    if is_new && done < ends.len() && has_no_room(folder, end - written) {
        remove(folder)?;
        return Ok((Begin::InEveryStep(Some(no_room(end))), None));
    }
    // There for the other ranks to open.
    opened(&bin(folder))?;
    Ok((Begin::From(done), lock))
}

fn has_no_room(folder: &Path, bytes: u64) -> bool {
    free_bytes(folder).is_some_and(|free| bytes + SPARE > free)
}

/// Tokens that the teacher is asked about at once: no more than in a step, which was made to fit the machine;
/// what is shared is laid out for everybody.
fn tokens_at_once(train: &Train, lengths: &[u32], is_shared: bool) -> usize {
    if is_shared {
        return TOKENS_AT_ONCE;
    }
    let longest = lengths.iter().copied().max().unwrap_or(1) as usize;
    TOKENS_AT_ONCE.min(train.data.batch_size as usize * longest)
}

/// Batches whose answers are there already, and their bytes; `ends` are where each batch ends in the file.
///
/// # Errors
/// What is there and of no use cannot be removed.
fn written_before(folder: &Path, key: &str, ends: &[u64]) -> Result<(usize, u64), KernelError> {
    let done = standing(folder, key).min(ends.len());
    let there = fs::metadata(bin(folder)).map_or(0, |file| file.len());
    let written = done.checked_sub(1).map_or(0, |last| ends[last]);
    if done == 0 || there < written {
        // A document of another key, or of answers that are gone, must not vouch for what is written now.
        remove(folder)?;
        return Ok((0, 0));
    }
    Ok((done, written))
}

/// The folder of answers that are shared, by what else makes them differ, so that nobody waits for, or
/// removes, what he has no use for.
fn folder_of(folder: &Path, compute: Compute, pad_to: PadTo) -> PathBuf {
    let how = format!("{:?}-{:?}-{pad_to:?}", compute.kind, compute.device);
    let how = how.replace(['(', ')'], "").to_lowercase();
    let mut name = folder.as_os_str().to_owned();
    name.push(format!("-{how}"));
    PathBuf::from(name)
}

/// Where in the file the row of each place begins, and where each batch ends.
fn laid_out(batches: &[Vec<u32>], lengths: &[u32], layout: &Layout) -> (Vec<u64>, Vec<u64>) {
    let mut offsets = vec![0; lengths.len()];
    let mut ends = Vec::with_capacity(batches.len());
    let mut end = 0;
    for batch in batches {
        for &place in batch {
            offsets[place as usize] = end;
            end += layout.bytes(lengths[place as usize] as usize) as u64;
        }
        ends.push(end);
    }
    (offsets, ends)
}

/// A file that is being filled.
struct Asking<'a> {
    folder: &'a Path,
    file: &'a File,
    key: &'a str,
    layout: &'a Layout,
    offsets: &'a [u64],
    lengths: &'a [u32],
    /// Whether the rows of a batch are padded to its longest.
    is_padded: bool,
}

impl Asking<'_> {
    /// Asks about the batches that are not `done`, each rank about one in turn; `false` where a rank was asked to stop
    /// before the last.
    fn run(
        &self,
        batches: &[Vec<u32>],
        mut done: usize,
        answer: impl Fn(&[u32]) -> Target,
        (reporter, stop, ranks): (&Reporter, &Stop, &Ranks),
    ) -> Result<bool, KernelError> {
        let total = self.lengths.len() as u64;
        let mut examples: u64 = batches[..done].iter().map(|batch| batch.len() as u64).sum();
        let (mut saved_at, mut told_at) = (Instant::now(), None::<Instant>);
        // Pages of a file that several machines write are not put together everywhere: then the first rank asks.
        let at_once = if ranks.are_here() {
            ranks.own().size()
        } else {
            1
        };
        while done < batches.len() {
            let turn = &batches[done..batches.len().min(done + at_once)];
            if let Some(batch) = turn.get(ranks.own().place()) {
                self.write(batch, &answer(batch))?;
            }
            done += turn.len();
            examples += turn.iter().map(|batch| batch.len() as u64).sum::<u64>();
            if told_at.is_none_or(|at| at.elapsed() > TELL_EVERY) || examples == total {
                reporter.send(&Event::Asking {
                    done: examples,
                    total,
                });
                told_at = Some(Instant::now());
            }
            let is_last = done == batches.len();
            let is_late = ranks.is_first() && saved_at.elapsed() > SYNC_EVERY;
            let mut late = [f64::from(u8::from(is_late))];
            let stopping = ranks.sum_numbers_and_wishes(&mut late, stop.asked())?;
            if stopping || late[0] > 0.0 || is_last {
                self.save(done, ranks)?;
                saved_at = Instant::now();
            }
            if stopping && !is_last {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Writes the answers to a batch to their place.
    fn write(&self, batch: &[u32], target: &Target) -> Result<(), KernelError> {
        let lengths = batch.iter().map(|&place| self.lengths[place as usize]);
        let lengths: Vec<usize> = lengths.map(|length| length as usize).collect();
        let longest = lengths.iter().copied().max().unwrap_or(0);
        let padded = self.is_padded.then_some(longest);
        let rows = rows(self.layout, target, &lengths, padded);
        self.file
            .write_all_at(&rows, self.offsets[batch[0] as usize])
            .map_err(io("write", &bin(self.folder)))
    }

    /// So many batches are on the disk. Not before every rank has put its own there.
    fn save(&self, batches: usize, ranks: &Ranks) -> Result<(), KernelError> {
        let written = self.file.sync_data();
        written.map_err(io("write", &bin(self.folder)))?;
        ranks.sum_numbers_and_wishes(&mut [], false)?;
        if !ranks.is_first() {
            return Ok(());
        }
        let standing = Standing {
            version: VERSION,
            key: self.key.to_owned(),
            batches,
        };
        let json = serde_json::to_vec(&standing).expect("plain data");
        write_and_rename(&self.folder.join(DOCUMENT), &json)
    }
}

/// Whose turn it is to ask for what is shared.
enum Turn {
    /// It was asked already.
    Asked { lock: File },
    /// This process's, while it holds the lock.
    Mine(File),
    /// Somebody else's, until the user had enough.
    Interrupted,
}

/// Whether a folder can be shared: without file locks two stages might write to it at once.
fn has_locks(folder: &Path) -> bool {
    let path = folder.join("lock");
    // Any other failure is reported where the folder is used.
    let lock = fs::create_dir_all(folder).is_ok().then(|| opened(&path));
    !lock
        .and_then(Result::ok)
        .is_some_and(|lock| matches!(try_lock_shared(&lock), Ok(Locking::Unsupported)))
}

/// Waits until the answers are all there, or nobody else asks for them.
#[expect(
    clippy::disallowed_methods,
    reason = "a lock cannot be waited for with a timeout"
)]
fn turn(
    folder: &Path,
    key: &str,
    (batches, bytes): (usize, u64),
    mut wait: impl FnMut() -> bool,
) -> Result<Turn, KernelError> {
    loop {
        fs::create_dir_all(folder).map_err(io("create", folder))?;
        let path = folder.join("lock");
        let lock = opened(&path)?;
        // A file that was removed meanwhile is not the one that others lock.
        let is_there = || {
            let (held, there) = (lock.metadata(), fs::metadata(&path));
            held.is_ok_and(|held| there.is_ok_and(|there| there.ino() == held.ino()))
        };
        // Whoever reads does not keep others from reading.
        if lock.try_lock_shared().is_ok() && is_there() && standing(folder, key) >= batches {
            let answers = OpenOptions::new().read(true).write(true).open(bin(folder));
            let whole = |file: &File| file.metadata().is_ok_and(|file| file.len() >= bytes);
            if answers.is_ok_and(|answers| whole(&answers)) {
                // The age by which folders make room.
                let _ = lock.set_modified(SystemTime::now());
                return Ok(Turn::Asked { lock });
            }
        }
        let _ = lock.unlock();
        if lock.try_lock().is_ok() && is_there() {
            return Ok(Turn::Mine(lock));
        }
        if wait() {
            return Ok(Turn::Interrupted);
        }
        thread::sleep(WAIT);
    }
}

/// Removes answers of other teachers that nobody reads, those first that were not used for longest, until those that stay
/// and `bytes` take no more than `limit`; whether they do. Then the file of `folder` is as long as it will be, so that
/// whoever makes room meanwhile counts all of it.
fn make_room(folder: &Path, bytes: u64, limit: u64) -> Result<bool, KernelError> {
    let all = folder.parent().expect("a folder among others");
    let one_at_a_time = File::open(all).map_err(io("open", all))?;
    one_at_a_time.lock().map_err(io("lock", all))?;
    let mut others = Vec::new();
    for entry in fs::read_dir(all).map_err(io("read", all))?.flatten() {
        let other = entry.path();
        let size = fs::metadata(bin(&other)).map_or(0, |file| file.len());
        let used = fs::metadata(other.join("lock")).and_then(|lock| lock.modified());
        if other != folder && size > 0 {
            others.push((used.unwrap_or(SystemTime::UNIX_EPOCH), size, other));
        }
    }
    others.sort();
    let mut taken: u64 = bytes + others.iter().map(|(_, size, _)| size).sum::<u64>();
    // Locked until they are gone, and none of them where all together would not be enough.
    let mut leaving = Vec::new();
    for (_, size, other) in others {
        if taken <= limit {
            break;
        }
        // To write as well: NFS locks alone what may be written.
        let mut options = OpenOptions::new();
        if let Ok(lock) = options.read(true).write(true).open(other.join("lock"))
            && lock.try_lock().is_ok()
        {
            taken -= size;
            leaving.push((other, lock));
        }
    }
    if taken > limit {
        return Ok(false);
    }
    for (other, _lock) in leaving {
        remove(&other)?;
    }
    let path = bin(folder);
    let file = opened(&path)?;
    file.set_len(bytes).map_err(io("write", &path))?;
    Ok(true)
}

const DOCUMENT: &str = "teacher-memory.json";

/// A file to read and write, as it is; empty where there was none.
fn opened(path: &Path) -> Result<File, KernelError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(io("open", path))
}

fn bin(output: &Path) -> PathBuf {
    output.join("teacher-memory.bin")
}

/// The folder of a teacher's outputs that are not shared.
fn own_folder(output: &Path, place: usize) -> PathBuf {
    match place {
        0 => output.to_owned(),
        place => output.join(format!("teacher-memory-{}", place + 1)),
    }
}

/// Forgets the answers of all teachers of a stage.
///
/// # Errors
/// What the disk says.
pub(crate) fn remove_all(output: &Path, train: &Train) -> Result<(), KernelError> {
    remove(output)?;
    for place in 1..train.teachers().count() {
        let folder = own_folder(output, place);
        remove(&folder)?;
        match fs::remove_dir(&folder) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(io("remove", &folder)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Forgets the answers of a stage.
///
/// # Errors
/// What the disk says.
pub(crate) fn remove(output: &Path) -> Result<(), KernelError> {
    // The document first: without it the file is nothing.
    remove_where_it_is(&output.join(DOCUMENT))?;
    remove_where_it_is(&bin(output))
}

fn remove_where_it_is(path: &Path) -> Result<(), KernelError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(io("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Batches that an interrupted run left; none of another key.
fn standing(output: &Path, key: &str) -> usize {
    let read = fs::read(output.join(DOCUMENT)).ok();
    let found = read.and_then(|json| serde_json::from_slice::<Standing>(&json).ok());
    found
        .filter(|found| found.version == VERSION && found.key == key)
        .map_or(0, |found| found.batches)
}

/// Free bytes of the disk that holds `folder`, where the system tells.
fn free_bytes(folder: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

fn no_room(bytes: u64) -> String {
    format!(
        "the disk has no room for {:.1} GB of teacher outputs: the teacher runs in every step instead",
        bytes as f64 / 1e9
    )
}
