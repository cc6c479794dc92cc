use super::{ScpSink as Sink, SftpServer, hassh};
use crate::amplification::Persona;
use crate::iot::files::Files;
use crate::iot::{Device, Limits};
use proptest::prelude::*;

fn files() -> Files {
    Files::new(Device::shipped("router").unwrap().dress(&Persona::new(1)).base.clone(), Limits::default())
}

fn client_hello(lists: [&str; 8]) -> Vec<u8> {
    let mut payload = vec![20];
    payload.extend([7; 16]);
    for list in lists.iter().chain(&["", ""]) {
        payload.extend((list.len() as u32).to_be_bytes());
        payload.extend(list.as_bytes());
    }
    payload.extend([0; 5]);
    let mut out = b"SSH-2.0-Go\r\n".to_vec();
    out.extend((payload.len() as u32 + 1 + 4).to_be_bytes());
    out.push(4);
    out.extend(payload);
    out.extend([0; 4]);
    out
}

#[test]
fn hassh_is_the_digest_of_four_lists() {
    let bytes = client_hello(["kex-a,kex-b", "key", "c1,c2", "x", "m1", "x", "none", "none"]);
    // printf 'kex-a,kex-b;c1,c2;m1;none' | md5sum
    assert_eq!(hassh(&bytes).as_deref(), Some("d50350ceb47b2b5d26b1d85897ec2a66"));
    assert_eq!(hassh(&bytes[..40]), None);
    assert_eq!(hassh(b"SSH-2.0-x\r\n\xff\xff\xff\xff"), None);
}

#[test]
fn scp_leaves_a_file() {
    let (mut files, mut sink) = (files(), Sink::new("/tmp"));
    let mut said = sink.take(b"C0755 6 bot.sh\n", &mut files);
    said.extend(sink.take(b"abc", &mut files));
    said.extend(sink.take(b"def\0", &mut files));
    assert_eq!(said, [0, 0]);
    assert_eq!(files.read("/tmp/bot.sh").unwrap().as_slice(), b"abcdef");
}

fn packet(kind: u8, id: u32, fields: &[&[u8]]) -> Vec<u8> {
    let mut body = vec![kind];
    body.extend(id.to_be_bytes());
    fields.iter().for_each(|field| body.extend(*field));
    let mut out = (body.len() as u32).to_be_bytes().to_vec();
    out.extend(body);
    out
}

fn string(bytes: &[u8]) -> Vec<u8> {
    let mut out = (bytes.len() as u32).to_be_bytes().to_vec();
    out.extend(bytes);
    out
}

#[test]
fn sftp_leaves_a_file() {
    let (mut files, mut server) = (files(), SftpServer::default());
    let mut sent = b"\0\0\0\x05\x01\0\0\0\x03".to_vec();
    sent.extend(packet(3, 1, &[&string(b"/tmp/x"), &26u32.to_be_bytes(), &[0; 4]]));
    let said = server.take(&sent, &mut files);
    assert_eq!(said[..9], *b"\0\0\0\x05\x02\0\0\0\x03");
    let handle = string(&1u32.to_be_bytes());
    let mut sent = packet(6, 2, &[&handle, &3u64.to_be_bytes(), &string(b"def")]);
    sent.extend(packet(6, 3, &[&handle, &0u64.to_be_bytes(), &string(b"abc")]));
    sent.extend(packet(4, 4, &[&handle]));
    // One byte at a time: packets may arrive in any pieces.
    for byte in sent {
        server.take(&[byte], &mut files);
    }
    assert_eq!(files.read("/tmp/x").unwrap().as_slice(), b"abcdef");
    assert_eq!(
        server.take(&packet(6, 5, &[&handle, &0u64.to_be_bytes(), &string(b"z")]), &mut files)[9..13],
        [0, 0, 0, 4]
    );
}

proptest! {
    #[test]
    fn any_bytes_are_taken(bytes in proptest::collection::vec(any::<u8>(), 0..600), kind in 0u8..22) {
        let (mut files, mut server) = (files(), SftpServer::default());
        server.take(&bytes, &mut files);
        server.take(&packet(kind, 1, &[&bytes]), &mut files);
        Sink::new("/tmp").take(&bytes, &mut files);
        hassh(&bytes);
        hassh(&[b"SSH-2.0-x\n\0\0\x01\0\x04\x14", &bytes[..]].concat());
    }
}
