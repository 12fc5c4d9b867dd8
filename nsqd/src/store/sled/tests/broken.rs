//! Databases that are not what sled wrote.

use super::*;

/// Changes every byte of a file.
fn spoil(path: &Path) {
    let garbage: Vec<_> = fs::read(path).unwrap().iter().map(|byte| byte ^ 0x55).collect();
    fs::write(path, garbage).unwrap();
}

#[test]
fn a_database_that_will_not_open_is_set_aside_and_a_new_one_begun() {
    let home = tempfile::tempdir().unwrap();
    drop(log_with_batches(&home));
    spoil(&home.path().join("spill/epoch-0/db"));
    let mut log = open(&home);
    assert_eq!(log.load().unwrap(), []);
    assert_eq!((log.damage().databases, files(&home, is_bad).len()), (1, 1));
    let aside = home.path().join("spill").join(&files(&home, is_bad)[0]);
    assert_eq!(fs::read_dir(aside.join("bodies")).unwrap().count(), 1, "the batches went with it");
    log.save(ONE, &image("t")).unwrap();
    log.append(ONE, &batch(0, 1, 40_000)).unwrap();
    log.sync().unwrap();
    drop(log);
    let mut log = open(&home);
    assert_eq!((log.load().unwrap().len(), log.damage().databases), (1, 0));
    assert_whole(&mut log, &[0]);
}

#[test]
fn a_database_that_will_not_open_and_is_legible_is_made_anew() {
    let home = tempfile::tempdir().unwrap();
    drop(log_with_batches(&home));
    spoil(&home.path().join("spill/epoch-0/conf"));
    let mut log = open(&home);
    let topics = log.load().unwrap();
    assert_eq!(
        (topics[0].image.last_id, topics[0].image.channels.len(), topics[0].batches.len()),
        (77, 1, 4)
    );
    assert_whole(&mut log, &[0, 1, 2, 3]);
    assert_eq!(log.damage(), Damage { indexes: 1, ..Damage::default() });
    assert!(files(&home, is_bad)[0].starts_with("epoch-0."));
    drop(log);
    let mut log = open(&home);
    assert_eq!((log.load().unwrap(), log.damage()), (topics, Damage::default()));
}

#[test]
fn a_disk_that_refuses_to_open_the_database_condemns_nothing() {
    let home = tempfile::tempdir().unwrap();
    drop(log_with_batches(&home));
    let db = home.path().join("spill/epoch-0/db");
    fs::rename(&db, home.path().join("away")).unwrap();
    fs::create_dir(&db).unwrap();
    assert!(matches!(SledLog::open(&home.path().join("spill")), Err(LogError::Io(_))));
    fs::remove_dir(&db).unwrap();
    fs::rename(home.path().join("away"), &db).unwrap();
    let mut log = open(&home);
    assert_eq!((log.load().unwrap()[0].batches.len(), files(&home, is_bad).len()), (4, 0));
}

#[test]
fn a_changed_byte_never_brings_a_wrong_message_nor_stops_the_store() {
    let home = tempfile::tempdir().unwrap();
    let mut log = log_with_batches(&home);
    for first in 4..1000 {
        log.append(ONE, &batch(first, 1, 1000)).unwrap();
    }
    drop(log);
    // Opening once more writes sled's snapshot, which a change can then differ from.
    drop(open(&home));
    for file in ["epoch-0/db".to_owned(), format!("bodies/{}", segments::name(0))] {
        let path = home.path().join("spill").join(&file);
        let good = fs::read(&path).unwrap();
        for place in 0..20 {
            let mut bytes = good.clone();
            bytes[(good.len() * place / 20 + 1000).min(good.len() - 1)] ^= 4;
            fs::write(&path, &bytes).unwrap();
            let copy = tempfile::tempdir().unwrap();
            copy_directory(&home.path().join("spill"), &copy.path().join("spill"));
            let mut log = open(&copy);
            log.load().unwrap();
            for first in 0..1000 {
                // A read that failed may be asked for again; then the batch is there or it is known to be lost.
                let read = match log.read(ONE, first) {
                    Err(LogError::Io(_)) => log.read(ONE, first),
                    outcome => outcome,
                };
                match read {
                    Ok(found) => {
                        assert_eq!(found, batch(first, 1, if first < 4 { 40_000 } else { 1000 }))
                    }
                    Err(LogError::Damaged { .. }) => {}
                    Err(error) => panic!("{file}, place {place}: {error}"),
                }
            }
            let work = |log: &mut SledLog| {
                log.append(ONE, &batch(1000, 1, 40_000))?;
                (0..1000).try_for_each(|first| log.drop_batch(ONE, first))?;
                log.sync()
            };
            work(&mut log).or_else(|_| work(&mut log)).unwrap();
        }
        fs::write(&path, &good).unwrap();
    }
}

#[test]
fn a_changed_byte_in_the_database_costs_hardly_a_message() {
    let home = tempfile::tempdir().unwrap();
    let mut log = log_with_batches(&home);
    log.save(TWO, &image("other")).unwrap();
    for first in 4..6000 {
        log.append(if first % 2 == 0 { ONE } else { TWO }, &batch(first, 1, 1000)).unwrap();
        if first >= 2000 && first % 4 == 0 {
            log.drop_batch(ONE, first - 1000).unwrap();
        }
        if first % 100 == 0 {
            log.sync().unwrap();
        }
    }
    drop(log);
    let mut log = open(&home);
    let expected = log.load().unwrap();
    let count = |topics: &[SavedTopic]| topics.iter().map(|topic| topic.batches.len()).sum::<usize>();
    assert_eq!(count(&expected), 5000);
    drop(log);
    let path = home.path().join("spill/epoch-0/db");
    let good = fs::read(&path).unwrap();
    let written = good.iter().rposition(|byte| *byte != 0).unwrap();
    assert!(written > 2 << 20, "it is in several of sled's segments");
    for place in 0..30 {
        let at = 1000 + (written - 1000) * place / 30;
        let mut bytes = good.clone();
        bytes[at] ^= 4;
        fs::write(&path, &bytes).unwrap();
        let copy = tempfile::tempdir().unwrap();
        copy_directory(&home.path().join("spill"), &copy.path().join("spill"));
        let mut log = open(&copy);
        let topics = log.load().unwrap();
        let found = count(&topics);
        assert!(topics.iter().zip(&expected).all(|(topic, expected)| topic.image == expected.image));
        // What was finished in the damaged message comes again.
        assert!((4999..=5005).contains(&found), "byte {at} of {written}: {found} batches");
        let mut unreadable = 0;
        for topic in &topics {
            for summary in &topic.batches {
                match log.read(topic.number, summary.first) {
                    Ok(read) => assert_eq!(read.first, summary.first),
                    Err(_) => unreadable += 1,
                }
            }
        }
        assert_eq!(unreadable, 0, "byte {at} of {written}");
    }
}
