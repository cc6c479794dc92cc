//! A short list of resources; 4.04 for everything else.

use super::super::Question;
use super::parser::Request;

/// The reply.
pub fn reply(request: &Request, question: &Question) -> Option<Vec<u8>> {
    // An empty confirmable message is a ping; its pong is a reset (section 4.3).
    if request.code == 0 {
        return request.confirmable.then(|| [&[0x70, 0][..], &request.id.to_be_bytes()].concat());
    }
    let (code, payload) = match (&*request.path, request.code) {
        (b"/.well-known/core", 1) => (0x45, resources(question)),
        (_, 1) => (0x84, Vec::new()),
        // 4.05 method not allowed.
        _ => (0x85, Vec::new()),
    };
    let kind = if request.confirmable { 2u8 } else { 1 };
    let mut out = vec![0x40 | kind << 4 | request.token.len() as u8, code];
    out.extend(request.id.to_be_bytes());
    out.extend(request.token);
    if !payload.is_empty() {
        // Content-Format 40: link format.
        out.extend([0xc1, 40, 0xff]);
        out.extend(payload);
    }
    Some(out)
}

fn resources(question: &Question) -> Vec<u8> {
    let persona = question.persona;
    let kind = persona.pick("coap.kind", &["sensors", "dev", "api", "qlink", "device"]);
    let leaf = persona.pick("coap.leaf", &["temp", "status", "info", "state", "light"]);
    format!("</{kind}>,</{kind}/{leaf}>;obs;ct=0,</.well-known/core>").into_bytes()
}
