use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use qd_core::canonical::Digest;

use super::*;

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    folder
}

fn packed(tar: &[u8]) -> (Vec<u8>, Digest) {
    (zstd::encode_all(tar, 1).unwrap(), Digest::of(tar))
}

/// A tar with headers as an attacker would write them.
fn tar_of(entries: &[(&str, tar::EntryType, &str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, kind, link, content) in entries {
        let mut header = tar::Header::new_gnu();
        let name = &mut header.as_gnu_mut().unwrap().name;
        name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(*kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        if !link.is_empty() {
            header.set_link_name_literal(link).unwrap();
        }
        header.set_cksum();
        builder.append(&header, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

#[test]
fn the_same_files_have_the_same_digest_whatever_their_times_and_modes() {
    let files = [("curate/__init__.py", ""), ("curate/stages.py", "class A: pass\n"), ("data/x.txt", "x")];
    let one = folder(&files);
    let mut reversed = files;
    reversed.reverse();
    let other = folder(&reversed);
    for left_out in ["curate/__pycache__/a.cpython-312.pyc", "curate/b.pyc", ".git/HEAD", ".venv/bin/python"]
    {
        let path = other.path().join(left_out);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "noise").unwrap();
    }
    fs::create_dir(other.path().join("empty")).unwrap();
    fs::set_permissions(other.path().join("data/x.txt"), fs::Permissions::from_mode(0o600)).unwrap();
    let old = fs::File::options().write(true).open(other.path().join("data/x.txt")).unwrap();
    old.set_modified(std::time::UNIX_EPOCH).unwrap();

    let (one, other) = (pack(one.path()).unwrap(), pack(other.path()).unwrap());
    assert_eq!(one, other);
    assert_eq!((one.files, one.unpacked_bytes), (3, 15));
    // The address is for ever: were the canonical form to change, every pinned revision would lose its code.
    assert_eq!(
        one.digest.as_str(),
        "sha256:5ef976253912aa809f245bc0b28faf9a134ade5f9e0484c43f1bd2f274d71b50"
    );
}

#[test]
fn what_was_packed_comes_back() {
    let long = format!("deep/{}/file.py", "d".repeat(120));
    let source =
        folder(&[("a.py", "print(1)\n"), (&long, "long"), ("run.sh", "#!/bin/sh\n"), ("ä b.txt", "ö")]);
    fs::set_permissions(source.path().join("run.sh"), fs::Permissions::from_mode(0o700)).unwrap();
    symlink("a.py", source.path().join("same.py")).unwrap();
    let packed = pack(source.path()).unwrap();
    let root = tempfile::tempdir().unwrap();
    let unpacked = unpack(&packed.archive, &packed.digest, root.path()).unwrap();

    assert_eq!(unpacked, root.path().join(packed.digest.hex()));
    assert_eq!(fs::read_to_string(unpacked.join(&long)).unwrap(), "long");
    assert_eq!(fs::read_to_string(unpacked.join("same.py")).unwrap(), "print(1)\n");
    assert_eq!(fs::read_to_string(unpacked.join("ä b.txt")).unwrap(), "ö");
    let mode = |name: &str| fs::metadata(unpacked.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("run.sh"), mode("a.py")), (0o555, 0o444));
    assert_eq!(pack(&unpacked).unwrap().digest, packed.digest, "unpacked, it is the same code");
    assert_eq!(unpack(&packed.archive, &packed.digest, root.path()).unwrap(), unpacked);
    assert_eq!(inspect(&packed.archive, &packed.digest).unwrap().files, 5);
}

#[test]
fn folders_that_cannot_travel_are_refused() {
    let outside = folder(&[("secret", "x")]);
    type Case<'a> = (&'a str, &'a dyn Fn(&Path), &'a str);
    let cases: [Case<'_>; 5] = [
        ("leads out", &|at| symlink(outside.path().join("secret"), at.join("link")).unwrap(), "leads out"),
        ("leads out by dots", &|at| symlink("../..", at.join("link")).unwrap(), "leads out"),
        ("circle", &|at| symlink(".", at.join("link")).unwrap(), "in a circle"),
        ("dangling", &|at| symlink("nowhere", at.join("link")).unwrap(), "cannot be read"),
        (
            "socket",
            &|at| drop(std::os::unix::net::UnixListener::bind(at.join("socket")).unwrap()),
            "neither a file nor",
        ),
    ];
    for (title, spoil, wanted) in cases {
        let folder = folder(&[("a.py", "")]);
        spoil(folder.path());
        let error = pack(folder.path()).unwrap_err();
        assert_eq!(error.code, "bad_code_folder", "{title}");
        assert!(error.detail.contains(wanted), "{title}: {}", error.detail);
    }
    assert!(pack(folder(&[]).path()).unwrap_err().detail.contains("no files"));
    assert!(pack(Path::new("/nowhere")).is_err());
}

#[test]
fn a_folder_too_large_is_refused_before_it_is_read() {
    let large = folder(&[("a", "")]);
    let file = fs::File::options().write(true).open(large.path().join("a")).unwrap();
    file.set_len(MAX_UNPACKED_BYTES + 1).unwrap();
    assert_eq!(pack(large.path()).unwrap_err().code, "code_too_large");
}

#[test]
fn malicious_archives_are_refused_and_leave_nothing() {
    use tar::EntryType::{Char, Directory, Link, Regular, Symlink};
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("absolute", tar_of(&[("/etc/passwd", Regular, "", b"x")])),
        ("parent", tar_of(&[("../x", Regular, "", b"x")])),
        ("parent inside", tar_of(&[("a/../../x", Regular, "", b"x")])),
        ("dot", tar_of(&[("./a", Regular, "", b"x")])),
        ("double slash", tar_of(&[("a//b", Regular, "", b"x")])),
        ("control character", tar_of(&[("a\nb", Regular, "", b"x")])),
        ("symlink", tar_of(&[("a", Symlink, "/etc", b""), ("a/b", Regular, "", b"x")])),
        ("hard link", tar_of(&[("a", Link, "/etc/passwd", b"")])),
        ("device", tar_of(&[("a", Char, "", b"")])),
        ("folder", tar_of(&[("a/", Directory, "", b"")])),
        ("twice", tar_of(&[("a", Regular, "", b"x"), ("a", Regular, "", b"y")])),
        ("file as folder", tar_of(&[("a", Regular, "", b"x"), ("a/b", Regular, "", b"y")])),
        ("folder as file", tar_of(&[("a/b", Regular, "", b"x"), ("a", Regular, "", b"y")])),
        ("empty", tar_of(&[])),
        ("no tar", b"hello".repeat(300)),
        ("cut", tar_of(&[("a", Regular, "", &[7; 3000])])[..1500].to_vec()),
    ];
    let root = tempfile::tempdir().unwrap();
    for (title, tar) in cases {
        let (archive, digest) = packed(&tar);
        let error = unpack(&archive, &digest, root.path()).unwrap_err();
        assert_eq!(error.code, "bad_code_archive", "{title}: {error}");
        if !title.starts_with("f") {
            assert_eq!(inspect(&archive, &digest).unwrap_err().code, "bad_code_archive", "{title}");
        }
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0, "{title} left something");
    }
}

#[test]
fn wrong_digests_bombs_and_garbage_are_refused() {
    let good = pack(folder(&[("a.py", "x")]).path()).unwrap();
    let root = tempfile::tempdir().unwrap();
    let other = Digest::of("other");
    let error = unpack(&good.archive, &other, root.path()).unwrap_err();
    assert!(error.detail.contains(good.digest.as_str()), "{error}");

    // What stands behind the tar's end is part of the content.
    let mut longer = zstd::decode_all(good.archive.as_slice()).unwrap();
    longer.extend_from_slice(&[0; 512]);
    assert!(unpack(&zstd::encode_all(longer.as_slice(), 1).unwrap(), &good.digest, root.path()).is_err());

    let mut bomb = zstd::Encoder::new(Vec::new(), 3).unwrap();
    let mut header = tar::Header::new_gnu();
    header.set_path("bomb").unwrap();
    header.set_size(MAX_UNPACKED_BYTES * 4);
    header.set_cksum();
    bomb.write_all(header.as_bytes()).unwrap();
    let zeros = vec![0; 1 << 20];
    for _ in 0..(MAX_UNPACKED_BYTES >> 20) + 100 {
        bomb.write_all(&zeros).unwrap();
    }
    let bomb = bomb.finish().unwrap();
    assert!(bomb.len() < 1 << 20);
    assert!(unpack(&bomb, &other, root.path()).unwrap_err().detail.contains("more than is allowed"));
    assert!(unpack(b"garbage", &other, root.path()).is_err());
    assert!(unpack(&vec![0; MAX_BYTES + 1], &other, root.path()).unwrap_err().code == "code_too_large");
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
}
