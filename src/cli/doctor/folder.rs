//! The folder of the store: what its file system promises.

use std::path::Path;
use std::time::Duration;

use super::report::Report;
use crate::app::AppOptions;
use crate::model::units::format_size;
use crate::store::DiskStore;
use crate::store::disk::{BARE, DiskSurvey, Durability, Holder, LONGEST_NAME, survey};

/// A small upload that waits longer than this for stable storage is slow.
const SLOW_SYNC: Duration = Duration::from_millis(100);
/// With less room than this above `min_free` it is soon full.
const LITTLE_ROOM: u64 = 1 << 30;
/// With fewer files left than this it is soon full.
const FEW_FILES: u64 = 100_000;
/// How far the clock of a file system may be from this machine's.
const SKEW: Duration = Duration::from_secs(1);
/// Options of a mount that let a power cut take what was synced.
const CARELESS: [&str; 4] = ["barrier=0", "nobarrier", "data=writeback", "nointegrity"];

/// The folder of a store on disk.
pub async fn store(options: &AppOptions, report: &mut Report) {
    let Some(found) = looked(&options.dir, report).await else {
        return;
    };
    place(&options.dir, &found, report);
    holder(options, &found, report);
    names(&found, report);
    if options.sharing.is_some() {
        sharing(&found, report);
    }
    durability(options.durability, &found, report);
    space(options.min_free, &found, report);
    if found.skew > SKEW {
        let skew = found.skew.as_millis();
        report.warning(
            "clock",
            format!("the file system's clock and this machine's differ by {skew} ms"),
            "keep both by NTP: what is stale is told by the times of files",
        );
    }
}

/// The folder of the index of an instance that has a bucket for itself.
pub async fn index(options: &AppOptions, report: &mut Report) {
    let private = DiskStore::private_dir(&options.dir);
    if let Some(found) = looked(&private, report).await {
        place(&private, &found, report);
    }
}

async fn looked(dir: &Path, report: &mut Report) -> Option<DiskSurvey> {
    let path = dir.to_owned();
    let found = match tokio::task::spawn_blocking(move || survey(&path)).await {
        Ok(Ok(found)) => return Some(found),
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    };
    let user = rustix::process::geteuid().as_raw();
    report.error(
        "folder",
        format!("nothing can be stored in {}: {found}", dir.display()),
        format!("let the user that serves write there (this is user {user})"),
    );
    None
}

fn place(dir: &Path, found: &DiskSurvey, report: &mut Report) {
    let mount = found.mount.as_ref();
    let kind = mount.map_or("a file system", |mount| mount.kind.as_str());
    let at = mount.map_or_else(String::new, |mount| format!(" at {}", mount.at.display()));
    let text = match found.exists {
        true => format!("{} on {kind}{at}", dir.display()),
        false => format!(
            "{} is not there, and is made at the start, on {kind}{at}",
            dir.display()
        ),
    };
    if let Some(why) = &found.closed_folder {
        let advice = "let the user that serves own all of it (chown -R), or run this as that user";
        report.error("folder", format!("{text}: cannot write in {why}"), advice);
        return;
    }
    match kind {
        "overlay" => report.warning(
            "folder",
            text,
            "in a container it goes with the container: mount a volume there",
        ),
        "tmpfs" | "ramfs" => report.warning(
            "folder",
            text,
            "it is in memory, and empty after a restart of the machine: choose a disk",
        ),
        _ => report.ok("folder", text),
    }
}

fn holder(options: &AppOptions, found: &DiskSurvey, report: &mut Report) {
    let text = match (found.holder, options.sharing.is_some()) {
        (Holder::Nobody, _) | (Holder::Shared, true) => return,
        (Holder::Alone, _) => "a server has the folder for itself",
        (Holder::Shared, false) => "servers with Redis share the folder",
    };
    let advice = "if this is not the server that these settings are of, it would not start";
    report.warning("folder", text, advice);
}

fn names(found: &DiskSurvey, report: &mut Report) {
    let mut well = true;
    let mut warn = |text: String, advice: &str| {
        well = false;
        report.warning("names", text, advice);
    };
    if !found.links {
        warn(
            BARE.to_owned(),
            "choose ext4, XFS or Btrfs for uploads that must not be lost",
        );
    } else if !found.unnamed {
        warn(
            "the file system has no unnamed files (O_TMPFILE): uploads wait in .wharf/stage"
                .to_owned(),
            "nothing has to be done; on ext4, XFS and Btrfs it is faster",
        );
    }
    if !found.wide {
        warn(
            "names beyond ASCII are refused, and with them uploads of such files".to_owned(),
            "mount FAT with utf8 (iocharset=utf8)",
        );
    }
    if found.longest_name < LONGEST_NAME {
        warn(
            format!(
                "names have at most {} bytes, and stored files up to {LONGEST_NAME}",
                found.longest_name
            ),
            "files with long names are refused here: choose a file system with names of 255 bytes",
        );
    }
    if well {
        let case = match found.case_sensitive {
            true => "",
            false => "; capital letters make no difference, which does no harm",
        };
        let text = format!("unnamed files, links and renames work as they are needed{case}");
        report.ok("names", text);
    }
}

fn sharing(found: &DiskSurvey, report: &mut Report) {
    let nfs = found
        .mount
        .as_ref()
        .filter(|mount| mount.kind.starts_with("nfs"));
    if !found.shareable {
        report.error(
            "sharing",
            "the file system has neither hard links nor a rename that refuses a name which is taken (RENAME_NOREPLACE)",
            "one server alone, without redis, can use it; several need another file system, or a bucket",
        );
    } else if nfs.is_some_and(|mount| !mount.has("lookupcache=none")) {
        report.warning(
            "sharing",
            "NFS is mounted with a cache of names: an instance may not find for a while what another has stored",
            "mount it with lookupcache=none",
        );
    } else if !found.remote {
        report.ok(
            "sharing",
            "a file system of this machine: for instances on this machine",
        );
    } else {
        report.ok(
            "sharing",
            "other machines can have it too; see that all mount the same",
        );
    }
}

fn durability(wanted: Durability, found: &DiskSurvey, report: &mut Report) {
    let took = found.sync.as_secs_f64() * 1000.0;
    let text = format!("a small file and its name are on stable storage in {took:.1} ms");
    let careless = found
        .mount
        .as_ref()
        .and_then(|mount| CARELESS.into_iter().find(|option| mount.has(option)));
    if wanted == Durability::Relaxed {
        let text = "durability = relaxed: a power cut may take the last uploads";
        report.warning("durability", text, "see that this is meant");
    } else if let Some(option) = careless {
        report.warning(
            "durability",
            format!("the mount option {option} lets a power cut take what was synced"),
            "mount it without",
        );
    } else if found.sync > SLOW_SYNC {
        report.warning(
            "durability",
            format!("{text}: uploads wait for that"),
            "use a faster disk, or durability = relaxed where uploads may be lost to a power cut",
        );
    } else if found.ordered || found.fat {
        report.ok("durability", text);
    } else {
        report.ok(
            "durability",
            format!("{text}; without a journal more is synced"),
        );
    }
}

fn space(min_free: u64, found: &DiskSurvey, report: &mut Report) {
    let (free, kept) = (format_size(found.free), format_size(min_free));
    let files = match found.free_files {
        Some(files) if files < FEW_FILES => format!(", and for {files} files"),
        _ => String::new(),
    };
    let text = format!("{free} are free{files}; min_free keeps {kept} of it");
    let advice = "make room, or choose another folder";
    if found.free <= min_free || found.free_files == Some(0) {
        report.error("space", format!("{text}: uploads are refused"), advice);
    } else if found.free - min_free < LITTLE_ROOM || !files.is_empty() {
        report.warning("space", text, advice);
    } else {
        report.ok("space", text);
    }
}
