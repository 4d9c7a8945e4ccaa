//! Exit codes and examples of the commands, for `-h`, `--help` and the manual.

/// The exit codes of the commands that ask a server.
const CODES: [(u8, &str); 8] = [
    (0, "done"),
    (1, "failed"),
    (2, "usage: the arguments contradict each other"),
    (3, "some of it was done"),
    (4, "not authorised"),
    (5, "not found"),
    (6, "no network, or nothing moved for --timeout"),
    (130, "interrupted"),
];

/// The text below the options of a command.
struct Below {
    command: &'static str,
    /// Its exit codes.
    codes: &'static [u8],
    /// Command lines, and what they do.
    examples: &'static [(&'static str, &'static str)],
}

/// The exit codes of the server and of the commands that look after its store.
const SERVER_CODES: [(u8, &str); 3] = [
    (0, "done"),
    (
        1,
        "failed; check, reindex: or something is damaged; doctor: or an error was found; healthcheck: or it cannot store",
    ),
    (2, "usage"),
];

const ALL: [Below; 14] = [
    Below {
        command: "wharf",
        codes: &[],
        examples: &[
            (
                "wharf -p 9000 --dir /srv/uploads",
                "serve this machine; --help has every setting",
            ),
            (
                "wharf put photo.jpg",
                "send a file; wharf help upload says more",
            ),
        ],
    },
    Below {
        command: "serve",
        codes: &[],
        examples: &[
            (
                "wharf serve --config /etc/wharf.toml",
                "with the settings of a file",
            ),
            (
                "wharf -b '*' --access-file secrets --default-expires-in 7d",
                "for other machines, who need one of the secrets",
            ),
        ],
    },
    Below {
        command: "config",
        codes: &[],
        examples: &[(
            "wharf config --defaults > wharf.toml",
            "a file to begin with",
        )],
    },
    Below {
        command: "check",
        codes: &[],
        examples: &[("wharf check --dir /srv/uploads", "reads every file")],
    },
    Below {
        command: "copy",
        codes: &[0, 1, 2, 3, 130],
        examples: &[
            (
                "wharf copy --from /srv/uploads --to s3://my-bucket/uploads",
                "while the server serves; again after its end, with --delete, for what has changed",
            ),
            (
                "wharf copy --from s3://my-bucket/uploads --to /srv/uploads",
                "and back",
            ),
        ],
    },
    Below {
        command: "doctor",
        codes: &[],
        examples: &[
            (
                "wharf doctor --config /etc/wharf/wharf.toml",
                "file system, Redis, bucket, addresses, secrets",
            ),
            (
                "wharf doctor --url https://files.example/wharf",
                "and what the proxy does to requests",
            ),
        ],
    },
    Below {
        command: "healthcheck",
        codes: &[],
        examples: &[(
            "wharf healthcheck --config /etc/wharf/wharf.toml",
            "as a container's HEALTHCHECK asks: at an address of admin_listen, or else of listen",
        )],
    },
    Below {
        command: "reindex",
        codes: &[],
        examples: &[
            ("wharf reindex --dir /srv/uploads", "while no server runs"),
            (
                "wharf reindex -s http://localhost:8080",
                "asks the server that runs there",
            ),
        ],
    },
    Below {
        command: "upload",
        codes: &[0, 1, 2, 4, 6, 130],
        examples: &[
            (
                "wharf upload photo.jpg",
                "one file; the first line is its link",
            ),
            (
                "wharf upload -F to=team a.pdf b.pdf --expires-in 7d",
                "a form of a text field and two files, kept for a week",
            ),
            (
                "wharf upload -r photos",
                "a folder, which arrives as a folder",
            ),
            (
                "tar -c src | wharf put - --name src.tar -q",
                "standard input; prints the link alone",
            ),
            (
                "id=$(wharf upload --print id photo.jpg)",
                "its id, for a script",
            ),
        ],
    },
    Below {
        command: "download",
        codes: &[0, 1, 2, 3, 4, 5, 6, 130],
        examples: &[
            (
                "wharf download https://HOST/uploads/ID",
                "all files behind a link",
            ),
            (
                "wharf get ID -d copies",
                "the files of an upload, into a folder",
            ),
            (
                "wharf get ID --zip -o photos.zip",
                "the same in one ZIP file",
            ),
            (
                "wharf get ID/photo.jpg -o mine.jpg",
                "one file, under another name",
            ),
            (
                "wharf get notes.txt -o - | wc -l",
                "the newest file of a name, to standard output",
            ),
        ],
    },
    Below {
        command: "list",
        codes: &[0, 1, 2, 4, 6, 130],
        examples: &[
            ("wharf ls -n 10", "the newest ten"),
            (
                "wharf ls --all --json | jq -r 'select(.size > 1e9).id'",
                "the ids of the large ones",
            ),
        ],
    },
    Below {
        command: "show",
        codes: &[0, 1, 2, 3, 4, 5, 6, 130],
        examples: &[("wharf show ID", "its files, fields and deadline")],
    },
    Below {
        command: "update",
        codes: &[0, 1, 2, 3, 4, 5, 6, 130],
        examples: &[
            (
                "wharf update ID --expires-in 7d",
                "kept for a week from now",
            ),
            (
                "wharf update ID --expires-in never --title 'The plans'",
                "for good, under a title",
            ),
            (
                "wharf update ID --max-downloads none",
                "any number of downloads",
            ),
        ],
    },
    Below {
        command: "delete",
        codes: &[0, 1, 2, 3, 4, 5, 6, 130],
        examples: &[
            (
                "wharf delete ID",
                "where it was sent from: its token is kept there",
            ),
            ("WHARF_TOKEN=TOKEN wharf rm ID", "elsewhere"),
        ],
    },
];

/// The text below the options of the command.
pub fn below(command: &str) -> String {
    let Some(below) = ALL.iter().find(|below| below.command == command) else {
        return String::new();
    };
    let mut text = "Examples:\n".to_owned();
    for (line, what) in below.examples {
        text += &format!("  {line}\n      {what}\n");
    }
    text += "\nExit codes:\n";
    let own = CODES.iter().filter(|(code, _)| below.codes.contains(code));
    let servers = SERVER_CODES.iter().filter(|_| below.codes.is_empty());
    for (code, what) in own.chain(servers) {
        text += &format!("  {code:<3}  {what}\n");
    }
    text.truncate(text.trim_end().len());
    text
}

/// The text of `--help` and of the manual on a command that asks a server, in the place of its
/// sentence.
pub fn about(command: &str) -> &'static str {
    match command {
        "upload" => {
            "Send files and text fields as one form, which is stored whole or not at all. The first \
             line of the output is the link to give to others: a page for people, and a name for \
             wharf download. The delete token is kept in $XDG_STATE_HOME/wharf (~/.local/state/wharf), \
             where only you can read it, for wharf delete and wharf update: until the upload ends, of the \
             newest 10,000 uploads, and for the server it was sent to alone. Of a folder (-r) all files \
             go up, hidden ones too, in the order of their names; left out, and said, are symbolic links \
             in it, pipes, sockets and devices, .DS_Store and Thumbs.db, and folders without anything in \
             them. A file in it that cannot be read is named before anything is sent."
        }
        "download" => {
            "Fetch files, and compare them with the length and digest that the server gives. A name \
             is a link that wharf upload printed, an id (all files of the upload), ID/FILE, or the \
             name of a file (the newest of that name, where the server finds names). Files are \
             written into the folders they were sent in (--flat: into one), under temporary names, and \
             renamed when they are whole; none replaces another without --force, and nothing is written \
             through symbolic links. --zip and --tar fetch one upload as one file; where its downloads \
             are limited, that takes one of each file. A transfer that breaks goes on where it broke."
        }
        "list" => {
            "List uploads, newest first. The server may want a secret of the scope list or admin; \
             uploads with limited downloads are shown to admin alone."
        }
        "show" => "Show uploads: their files, text fields, deadline and what is left of downloads.",
        "update" => {
            "Change how long uploads are kept, how often their files can be downloaded, or what they \
             are called. It takes the delete token that wharf upload has kept, the one in \
             WHARF_TOKEN or --token-file, or a secret of the scope admin. What is not said stays."
        }
        "delete" => {
            "Delete uploads. It takes the delete token that wharf upload has kept, the one in \
             WHARF_TOKEN or --token-file, or a secret of the scope admin. An upload that is gone \
             already, or has another token, was not there: exit code 5."
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_codes_and_examples() {
        for command in crate::cli::client::args::commands() {
            let name = command.get_name();
            let text = below(name);
            assert!(
                text.contains("Exit codes:") && text.contains("  0    done"),
                "{name}"
            );
            assert!(
                text.contains("  wharf ") || text.contains("| wharf "),
                "{name}"
            );
            assert!(!about(name).is_empty(), "{name}");
        }
    }
}
