//! The requests of a comparison of the index with a bucket.

use std::collections::HashSet;

use crate::support::{Asked, Bucket, Form, S3Proxy, Setup, Trouble, wait_until};

/// A bucket with so many uploads of two files each, and the way to make its index anew.
fn stored(uploads: usize) -> (Bucket, S3Proxy, Setup) {
    let bucket = Bucket::new();
    let proxy = S3Proxy::to(bucket.server.port);
    let server = Setup::new().bucket(&bucket, &proxy.url()).start();
    for number in 0..uploads {
        let name = format!("{number}.txt");
        let form = Form::new().file("f", &name, b"1").file("g", "second", b"2");
        server.upload(&form);
    }
    let (status, setup) = server.stop();
    assert!(status.success());
    proxy.take_asked();
    (bucket, proxy, setup)
}

fn reindex(setup: &Setup) -> String {
    let out = setup.run(&["reindex"]);
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// The folder that is listed, if this lists one.
fn listed(asked: &Asked) -> Option<String> {
    let (_, prefix) = asked.path.split_once("list-type=2")?;
    let (_, prefix) = prefix.split_once("prefix=")?;
    let prefix = prefix.split('&').next()?.to_owned();
    (!prefix.contains(".wharf")).then_some(prefix)
}

fn is_record(asked: &Asked) -> bool {
    asked.path.contains(".json") && !asked.path.contains(".wharf")
}

#[test]
fn each_record_is_read_once_and_each_folder_listed_twice() {
    const UPLOADS: usize = 40;
    let (_bucket, proxy, setup) = stored(UPLOADS);
    let said = reindex(&setup);
    assert_eq!(said, format!("{UPLOADS} uploads indexed, 0 damaged\n"));
    let asked = proxy.take_asked();
    let records: Vec<&Asked> = asked.iter().filter(|asked| is_record(asked)).collect();
    let paths: HashSet<&str> = records.iter().map(|asked| &*asked.path).collect();
    assert_eq!((records.len(), paths.len()), (UPLOADS, UPLOADS));
    let folders: Vec<String> = asked.iter().filter_map(listed).collect();
    let different: HashSet<&String> = folders.iter().collect();
    assert_eq!(different.len(), 256);
    assert!(folders.len() <= 256 + UPLOADS, "{}", folders.len());
    let files = asked.iter().filter(|asked| asked.method == "HEAD");
    assert_eq!(files.count(), 0, "the listing has told the sizes");
    println!("{} requests", asked.len());
}

#[test]
fn folders_are_compared_beside_each_other() {
    let (_bucket, proxy, setup) = stored(1);
    let mut first = None;
    let mut others = 0;
    // The folder that is listed first is not listed until some others are.
    proxy.rule(move |asked| {
        let Some(folder) = listed(asked) else {
            return Trouble::None;
        };
        let first = first.get_or_insert(folder.clone());
        others += usize::from(*first != folder);
        match *first == folder && others < 3 {
            true => Trouble::SlowDown,
            false => Trouble::None,
        }
    });
    assert_eq!(reindex(&setup), "1 uploads indexed, 0 damaged\n");
}

/// Whether it lost a file or has another one, a closer look tells it.
#[test]
fn a_file_that_is_lost_or_cut_off_is_damage() {
    let (bucket, _proxy, setup) = stored(3);
    let keys = bucket.keys();
    let files: Vec<&String> = keys.iter().filter(|key| key.ends_with(".txt")).collect();
    bucket.delete(files[0]);
    bucket.put(files[1], b"longer");
    let said = reindex(&setup);
    assert!(said.ends_with("\n1 uploads indexed, 2 damaged\n"), "{said}");
}

/// An upload that is removed while it is compared does not stay in the index.
#[test]
fn what_is_removed_meanwhile_is_not_indexed() {
    let (bucket, proxy, setup) = stored(1);
    let mut keys = bucket.keys().into_iter();
    let key = keys.find(|key| key.ends_with(".json")).unwrap();
    let mut read = false;
    proxy.rule(move |asked| {
        // Behind the reading of its record, and before the folder is listed again.
        let same = |folder: String| key.starts_with(&folder.replace("%2F", "/"));
        let again = read && listed(asked).is_some_and(same);
        read |= is_record(asked);
        if again {
            bucket.delete(&key);
        }
        Trouble::None
    });
    reindex(&setup);
    proxy.calm();
    let server = setup.start();
    wait_until("the index answers", || server.get("/uploads").status == 200);
    let listed = server.get("/uploads").json();
    assert_eq!(listed["uploads"].as_array().unwrap().len(), 0);
}
