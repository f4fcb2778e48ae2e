//! The folder that lines run in: files of every kind of content and of every kind, sockets with servers of every kind, and
//! the two programs.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nicfw::clock::Timestamp;
use nicfw::journal::{Event, FileStore, Journal, Key, Left, Reason};
use nicfw_test_kit::dice::Dice;

/// The repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A sound policy.
const GOOD: &str = "nicfw: 1
unbound: allow
multicast: deny
policies:
  web:
    - {allow: in, proto: tcp, local_ports: 443, remote: 10.20.0.0/16, reason: shop front, ticket: CHG-1042}
bindings:
  - {container: shop-1, ip: 10.30.1.17, mac: \"02:00:0a:1e:01:11\", attach: sriov, policy: web}
";

const SAVED: &str = "*filter
:INPUT DROP [0:0]
:FORWARD DROP [0:0]
:OUTPUT DROP [0:0]
-A INPUT -s 10.20.0.0/16 -p tcp -m tcp --dport 443 -j ACCEPT
COMMIT
";

/// The largest policy and the largest file of rules that are read.
const POLICY: usize = 1 << 20;
const RULES: usize = 16 << 20;

pub struct Fixtures {
    dir: tempfile::TempDir,
    bin: tempfile::TempDir,
}

impl Fixtures {
    pub fn new() -> Self {
        let (dir, bin) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for dir in [&dir, &bin] {
            fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        }
        // A copy, so that a user without rights reaches it.
        fs::copy(env!("CARGO_BIN_EXE_nicfw"), bin.path().join("nicfw")).unwrap();
        symlink(std::env::current_exe().unwrap(), bin.path().join("c")).unwrap();
        let fixtures = Self { dir, bin };
        fixtures.policies();
        fixtures.rules();
        fixtures.captures();
        fixtures.journals();
        fixtures.kinds();
        fixtures.sockets();
        fixtures
    }

    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let path = std::env::var("PATH").unwrap_or_default();
        // Whoever runs as root has to step down where rights are what is tried.
        let root = nix::unistd::geteuid().is_root();
        let as_nobody = if root { "setpriv --reuid 65534 --regid 65534 --clear-groups" } else { "" };
        vec![
            ("PATH", format!("{}:{path}", self.bin.path().display())),
            ("AS_NOBODY", as_nobody.to_owned()),
            ("NO_COLOR", "1".to_owned()),
            ("LC_ALL", "C.UTF-8".to_owned()),
        ]
    }

    fn put(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.dir().join(name), bytes).unwrap();
    }

    /// A file of which only the length is there.
    fn sparse(&self, name: &str, len: u64) {
        File::create(self.dir().join(name)).unwrap().set_len(len).unwrap();
    }

    fn policies(&self) {
        let with = |what: &str, instead: &str| GOOD.replacen(what, instead, 1);
        let padded = |len: usize| format!("{GOOD}#{}", "x".repeat(len - GOOD.len() - 1));
        let utf16 = |bytes: fn(u16) -> [u8; 2]| GOOD.encode_utf16().flat_map(bytes).collect::<Vec<u8>>();
        let lines = (0..40)
            .map(|i| format!("a{i}: &a{i} [{0}, {0}]", if i == 0 { "x".into() } else { format!("*a{}", i - 1) }));
        let texts: [(&str, Vec<u8>); 38] = [
            ("good.yaml", GOOD.into()),
            ("changed.yaml", with("443", "8443").into()),
            ("empty.yaml", Vec::new()),
            ("one.yaml", b"n".to_vec()),
            ("newline.yaml", b"\n".to_vec()),
            ("nul.yaml", with("shop front", "shop\0front").into()),
            ("nuls.yaml", vec![0; 4096]),
            ("bom.yaml", format!("\u{feff}{GOOD}").into()),
            ("utf16le.yaml", [b"\xff\xfe".to_vec(), utf16(u16::to_le_bytes)].concat()),
            ("utf16be.yaml", [b"\xfe\xff".to_vec(), utf16(u16::to_be_bytes)].concat()),
            ("utf16.yaml", utf16(u16::to_le_bytes)),
            (
                "latin1.yaml",
                GOOD.replace("shop front", "caf\u{1}").bytes().map(|b| if b == 1 { 0xe9 } else { b }).collect(),
            ),
            (
                "overlong.yaml",
                GOOD.replace("shop front", "\u{1}")
                    .bytes()
                    .flat_map(|b| if b == 1 { vec![0xc0, 0xaf] } else { vec![b] })
                    .collect(),
            ),
            (
                "surrogate.yaml",
                GOOD.replace("shop front", "\u{1}")
                    .bytes()
                    .flat_map(|b| if b == 1 { vec![0xed, 0xa0, 0x80] } else { vec![b] })
                    .collect(),
            ),
            ("crlf.yaml", GOOD.replace('\n', "\r\n").into()),
            ("cr.yaml", GOOD.replace('\n', "\r").into()),
            ("tabs.yaml", GOOD.replace("  ", "\t").into()),
            ("escape.yaml", with("shop front", "\"shop\\e[2Jfront\"").into()),
            ("raw-escape.yaml", with("shop front", "shop\x1b[2Jfront").into()),
            ("newline-in-ticket.yaml", with("CHG-1042", "\"CHG-1\\nforged\"").into()),
            ("bidi-container.yaml", with("shop-1", "\"shop\\u202e1\"").into()),
            ("zero-width-owner.yaml", with("unbound", "owner: \"a\\u200bb\"\nunbound").into()),
            ("bom-policy.yaml", GOOD.replace("web", "\"w\\ufeffb\"").into()),
            ("long-reason.yaml", with("shop front", &"x".repeat(251)).into()),
            ("longest-reason.yaml", with("shop front", &"x".repeat(250)).into()),
            ("huge-reason.yaml", with("shop front", &"x".repeat(100_000)).into()),
            ("bad-ip.yaml", with("10.30.1.17", "10.30.1.300").into()),
            ("upper-proto.yaml", with("tcp", "TCP").into()),
            ("igmp.yaml", with("tcp", "igmp").into()),
            ("limit.yaml", padded(POLICY).into()),
            ("over.yaml", padded(POLICY + 1).into()),
            ("deep.yaml", "[".repeat(100_000).into()),
            ("deep-map.yaml", "{a: ".repeat(50_000).into()),
            ("aliases.yaml", lines.collect::<Vec<_>>().join("\n").into()),
            ("tag.yaml", with("unbound: allow", "unbound: !!python/object/apply:os.system [id]").into()),
            ("two.yaml", format!("{GOOD}---\n{GOOD}").into()),
            ("twice.yaml", with("multicast: deny", "multicast: deny\nmulticast: deny").into()),
            ("binary.yaml", (0..=255).cycle().take(10_000).collect()),
        ];
        for (name, bytes) in texts {
            self.put(name, bytes);
        }
        self.sparse("sparse.yaml", 200 << 20);
        self.put("random.yaml", noise(100_000));
    }

    fn rules(&self) {
        let good_nft = fs::read(root().join("cli/tests/imports/ruleset.json")).unwrap();
        let padded = |len: usize| {
            [SAVED.as_bytes(), "# x\n".repeat((len - SAVED.len()) / 4 + 1).as_bytes()].concat()[..len].to_vec()
        };
        self.put("good.save", SAVED);
        self.put("good.json", good_nft);
        self.put("good.rules", "@10.0.0.0/8\t10.30.1.17/32\t0 : 65535\t443 : 443\t0x06/0xFF\n");
        self.put("limit.save", padded(RULES));
        self.put("over.save", padded(RULES + 1));
        self.put("escape.save", SAVED.replace("-j ACCEPT", "-m comment --comment \"\x1b[2J\" -j ACCEPT"));
        self.put("bidi.save", SAVED.replace("-j ACCEPT", "-m comment --comment \"\u{202e}\" -j ACCEPT"));
        self.put("long-line.save", format!("{SAVED}{}", "-A INPUT ".repeat(20_000)));
        self.put("cut.save", &SAVED[..SAVED.len() - 7]);
        self.put("cycle.save", SAVED.replace("COMMIT", ":a - [0:0]\n-A a -j a\n-A INPUT -j a\nCOMMIT"));
        self.put("deep.json", "[".repeat(1_000_000) + &"]".repeat(1_000_000));
        self.put("number.json", format!("{{\"nftables\": [{}]}}", "9".repeat(1_000_000)));
        self.put("not.json", "{\"nftables\": ");
        self.put("bom.json", "\u{feff}{\"nftables\": []}");
    }

    fn captures(&self) {
        let of = |name: &str| fs::read(root().join("tests/pcap").join(name)).unwrap();
        let pcap = of("dns_udp.pcap");
        let pcapng = of("made/dns_udp.pcapng");
        let packed = of("made/dns_udp.pcap.gz");
        let header = |link: u32| [&pcap[..20], &link.to_le_bytes()].concat();
        let record = |len: u32, of: u32| [[0; 8].as_slice(), &len.to_le_bytes(), &of.to_le_bytes()].concat();
        self.put("good.pcap", &pcap);
        self.put("good.pcapng", &pcapng);
        self.put("good.pcap.gz", &packed);
        self.put("short.pcap", of("made/dns_udp-36.pcap"));
        self.put("cut.pcap", &pcap[..pcap.len() - 1]);
        self.put("cut-header.pcap", &pcap[..30]);
        self.put("header.pcap", &pcap[..24]);
        self.put("magic.pcap", &pcap[..4]);
        self.put("half-header.pcap", &pcap[..20]);
        self.put("cut.pcapng", &pcapng[..pcapng.len() - 5]);
        self.put("cut.pcap.gz", &packed[..packed.len() - 20]);
        self.put(
            "damaged.pcap.gz",
            packed.iter().enumerate().map(|(i, b)| if i == 60 { !b } else { *b }).collect::<Vec<_>>(),
        );
        self.put("long.pcap", [header(1), record(0x7fff_ffff, 0x7fff_ffff), vec![0; 100]].concat());
        self.put("nothing.pcap", [header(1), record(0, 0)].concat());
        self.put("unknown-link.pcap", [header(195), record(0, 0)].concat());
        self.put("family.pcap", [header(0), record(24, 24), vec![7, 0, 0, 0], vec![0; 20]].concat());
        self.put("zero.pcap", [header(1), vec![0; 16 << 20]].concat());
        self.put("noise.pcap", [header(1), noise(100_000)].concat());
        self.put("block.pcapng", [&pcapng[..], &[6, 0, 0, 0, 0, 0, 0, 0x40]].concat());
        self.put("no-interface.pcapng", [section(), enhanced(9)].concat());
        self.put("text.pcap", GOOD);
        // A gigabyte of zeros behind a header, and the same without an end.
        self.pack("bomb.pcap.gz", &header(1), 1 << 30);
        self.put("zstd.pcap", b"\x28\xb5\x2f\xfd\x04\x00");
    }

    fn pack(&self, name: &str, head: &[u8], zeros: u64) {
        let file = File::create(self.dir().join(name)).unwrap();
        let mut packed = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
        packed.write_all(head).unwrap();
        std::io::copy(&mut std::io::repeat(0).take(zeros), &mut packed).unwrap();
        packed.finish().unwrap();
    }

    fn journals(&self) {
        let of = |name: &str| fs::read(root().join("tests/data/journal").join(name)).unwrap();
        let whole = of("format2");
        self.put("good.journal", &whole);
        self.put("old.journal", of("format1"));
        self.put("foreign-text.journal", of("foreign-text"));
        self.put("cut.journal", &whole[..whole.len() - 1]);
        self.put("header.journal", &whole[..40]);
        self.put(
            "damaged.journal",
            whole.iter().enumerate().map(|(i, b)| if i == 300 { !b } else { *b }).collect::<Vec<_>>(),
        );
        self.put("newer.journal", [&whole[..16], &[9, 0, 0, 0], &whole[20..]].concat());
        self.put("good.key", "0123456789abcdef0123456789abcdef");
        self.put("short.key", "x");
        self.put("large.key", vec![b'x'; (1 << 16) + 1]);
        let key = Key::new(b"0123456789abcdef0123456789abcdef").unwrap();
        self.journal("keyed.journal", Timestamp::LAST, Some(&key));
        self.journal("future.journal", Timestamp::LAST, None);
        self.journal("past.journal", Timestamp(0), None);
        self.sparse("sparse.journal", 200 << 20);
    }

    /// A journal with one record of a date.
    fn journal(&self, name: &str, at: Timestamp, key: Option<&Key>) {
        let store = FileStore::open(self.dir().join(name)).unwrap();
        let mut journal = Journal::open(Box::new(store), "1924:0a03 02:00:00:00:00:01", key).unwrap();
        journal.append(at, Event::Left { how: Left::Blocked, why: Reason::new("ann", "gone") }).unwrap();
    }

    /// What is no file with content.
    fn kinds(&self) {
        let at = |name: &str| self.dir().join(name);
        fs::create_dir(at("dir")).unwrap();
        symlink("loop", at("loop")).unwrap();
        symlink("nowhere", at("dangling")).unwrap();
        for name in ["silent.fifo", "late.fifo", "endless.fifo", "drip.fifo"] {
            assert!(Command::new("mkfifo").arg(at(name)).status().unwrap().success());
        }
        self.put("unreadable.yaml", GOOD);
        fs::set_permissions(at("unreadable.yaml"), fs::Permissions::from_mode(0o000)).unwrap();
        for name in ["new\nline.yaml", "esc\x1b[2J.yaml", "bidi\u{202e}lmay.yaml"] {
            self.put(name, "nicfw: 1\n");
        }
        self.put("good \u{1b}]0;x\u{7}.yaml", GOOD);
        self.writer("late.fifo", |to| {
            std::thread::sleep(Duration::from_millis(300));
            to.write_all(GOOD.as_bytes())
        });
        self.writer("endless.fifo", |to| to.write_all(&[b'#'; 1 << 16]).and_then(|()| to.write_all(b"\n")));
    }

    /// Writes into a pipe whenever somebody reads it.
    fn writer(&self, name: &str, write: fn(&mut File) -> std::io::Result<()>) {
        let path = self.dir().join(name);
        let endless = name.starts_with("endless");
        std::thread::spawn(move || {
            loop {
                // Waits for a reader.
                let Ok(mut pipe) = File::options().write(true).open(&path) else { return };
                while write(&mut pipe).is_ok() && endless {}
                drop(pipe);
                // So that the reader sees the end before the next one is waited for.
                std::thread::sleep(Duration::from_millis(200));
            }
        });
    }

    fn sockets(&self) {
        // Listens, and accepts nobody: a queue of one that is full.
        let full = self.dir().join("full.sock");
        let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
        socket.bind(&socket2::SockAddr::unix(&full).unwrap()).unwrap();
        socket.listen(0).unwrap();
        let waiting: Vec<_> = (0..2).map_while(|_| UnixStream::connect(&full).ok()).take(1).collect();
        std::mem::forget((socket, waiting));
        self.put("gone.sock.keep", "");
        drop(UnixListener::bind(self.dir().join("gone.sock")).unwrap());
        self.server("silent.sock", |_| {
            loop {
                std::thread::park();
            }
        });
        self.server("hangup.sock", drop);
        self.server("garbage.sock", |mut peer| while peer.write_all(&noise(4096)).is_ok() {});
        self.server("zeros.sock", |mut peer| while peer.write_all(&[0; 4096]).is_ok() {});
        self.server("drip.sock", |mut peer| {
            while peer.write_all(&[1]).is_ok() {
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        self.server("echo.sock", |peer| {
            let mut from = peer.try_clone().unwrap();
            // Until one of them is gone.
            let _ = std::io::copy(&mut from, &mut { peer });
        });
        // Whole messages of a server that only asks: DMA_READ, without an end.
        self.server("asking.sock", |mut peer| {
            let mut message = vec![7, 0, 11, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            message.extend([0; 16]);
            let mut answers = [0; 4096];
            while peer.write_all(&message).is_ok() && peer.read(&mut answers).is_ok_and(|read| read > 0) {}
        });
        // For the socket beside a journal.
        for (name, serve) in [
            (
                "silent.journal",
                (|_| loop {
                    std::thread::park()
                }) as fn(UnixStream),
            ),
            ("garbage.journal", |mut peer| while peer.write_all(&noise(4096)).is_ok() {}),
            ("liar.journal", |mut peer| drop(peer.write_all(b"\x1b[2Jforged\xe2\x80\xae\n"))),
            ("drip.journal", |mut peer| {
                while peer.write_all(b"x").is_ok() {
                    std::thread::sleep(Duration::from_millis(500));
                }
            }),
        ] {
            self.server(&format!("{name}.confirm"), serve);
        }
        let closed = self.dir().join("closed.sock");
        std::mem::forget(UnixListener::bind(&closed).unwrap());
        fs::set_permissions(closed, fs::Permissions::from_mode(0o000)).unwrap();
    }

    fn server(&self, name: &str, serve: fn(UnixStream)) {
        let path: PathBuf = self.dir().join(name);
        let listener = UnixListener::bind(&path).unwrap();
        std::thread::spawn(move || {
            for peer in listener.incoming().flatten() {
                std::thread::spawn(move || serve(peer));
            }
        });
    }
}

/// Bytes that mean nothing, always the same.
fn noise(len: usize) -> Vec<u8> {
    let mut dice = Dice::new(0);
    (0..len).map(|_| dice.word().to_le_bytes()[0]).collect()
}

/// The block that begins a pcapng file.
fn section() -> Vec<u8> {
    [0x0a0d_0d0a, 28, 0x1a2b_3c4d, 1, u32::MAX, u32::MAX, 28].into_iter().flat_map(u32::to_le_bytes).collect()
}

/// An enhanced packet block of four bytes, of an interface.
fn enhanced(interface: u32) -> Vec<u8> {
    let mut block = Vec::new();
    for word in [6, 36, interface, 0, 0, 4, 4, 0, 36] {
        block.extend(u32::to_le_bytes(word));
    }
    block
}
