use super::*;

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("temp folder"),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Written long enough ago to be remembered.
    fn write(&self, name: &str, text: &str, seconds: u64) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("has one")).expect("created");
        fs::write(&path, text).expect("written");
        let time = SystemTime::UNIX_EPOCH + Duration::new(seconds, 5);
        fs::File::options()
            .append(true)
            .open(&path)
            .and_then(|file| file.set_modified(time))
            .expect("set");
        path
    }

    fn open(&self) -> Digester {
        Digester::open(self.path("digests.json"), self.folder.path().to_owned())
    }
}

fn one(digester: &mut Digester, path: &Path) -> Digest {
    let mut results = digester.digest(&[path]);
    results.remove(0).expect("digested").digest
}

#[test]
fn an_unchanged_file_is_not_read_again() {
    let place = Place::new();
    let paths = [place.write("a", "one", 100), place.write("b", "two", 100)];
    let mut first = place.open();
    let digests: Vec<_> = first.digest(&paths).into_iter().flatten().collect();
    assert_eq!(first.files_read(), 2);
    first.save().expect("saved");
    let mut second = place.open();
    let again: Vec<_> = second.digest(&paths).into_iter().flatten().collect();
    assert_eq!((again, second.files_read()), (digests, 0));
}

#[test]
fn another_time_size_or_inode_is_read_again() {
    let place = Place::new();
    let path = place.write("a", "one", 100);
    let mut digester = place.open();
    let first = one(&mut digester, &path);
    place.write("a", "two", 101);
    assert_ne!(one(&mut digester, &path), first);
    let other = place.write("other", "six", 101);
    fs::rename(other, &path).expect("renamed");
    assert_eq!(one(&mut digester, &path), Digest::of_bytes(b"six"));
    assert_eq!(digester.files_read(), 3);
}

#[test]
fn a_file_from_the_future_is_not_remembered() {
    let place = Place::new();
    let path = place.path("a");
    fs::write(&path, "one").expect("written");
    let mut digester = place.open();
    let future = SystemTime::now() + Duration::from_mins(1);
    fs::File::options()
        .append(true)
        .open(&path)
        .and_then(|file| file.set_modified(future))
        .expect("set");
    one(&mut digester, &path);
    one(&mut digester, &path);
    assert_eq!(digester.files_read(), 2);
}

#[test]
fn artifacts_digested_right_after_they_were_written_are_remembered() {
    let place = Place::new();
    let mut digester = place.open();
    let path = place.path("a");
    fs::write(&path, "one").expect("written");
    one(&mut digester, &path);
    one(&mut digester, &path);
    assert_eq!(digester.files_read(), 1);
}

#[test]
fn what_is_known_of_a_folder_moves_with_it() {
    let place = Place::new();
    let (from, to) = (place.path("work/x"), place.path("store/x"));
    let path = place.write("work/x/model/a", "one", 100);
    place.write("work/xy", "another", 100);
    let mut digester = place.open();
    one(&mut digester, &path);
    fs::create_dir_all(place.path("store")).expect("created");
    fs::rename(&from, &to).expect("renamed");
    digester.relocate(&from, &to);
    assert_eq!(
        one(&mut digester, &to.join("model/a")),
        Digest::of_bytes(b"one")
    );
    assert_eq!(digester.files_read(), 1);
}

#[test]
fn a_damaged_memo_costs_reading_and_nothing_else() {
    let place = Place::new();
    let path = place.write("a", "one", 100);
    fs::write(place.path("digests.json"), "{\"version\":1,\"fi").expect("written");
    let mut digester = place.open();
    assert_eq!(one(&mut digester, &path), Digest::of_bytes(b"one"));
    digester.save().expect("saved");
    assert_eq!(place.open().entries.len(), 1);
}

#[test]
fn a_missing_file_is_an_error_and_the_others_are_digested() {
    let place = Place::new();
    let path = place.write("a", "one", 100);
    let results = place.open().digest(&[place.path("none"), path]);
    assert!(results[0].is_err() && results[1].is_ok());
}
