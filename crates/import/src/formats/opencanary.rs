//! OpenCanary's log (`opencanary/logger.py`): numbers say what happened, `logdata` what was tried.

use crate::fields::{self, Object, Refusal};
use crate::record::Record;
use serde_json::Value;

/// What a number means: word, application protocol, and whether it is a login.
fn meaning(code: u64) -> (&'static str, Option<&'static str>, bool) {
    match code {
        1000..=1006 => ("internal", None, false),
        2000 => ("ftp.login", Some("ftp"), true),
        3000 => ("http.get", Some("http"), false),
        3001 => ("http.login", Some("http"), true),
        4000 => ("ssh.connection", Some("ssh"), false),
        4001 => ("ssh.version", Some("ssh"), false),
        4002 => ("ssh.login", Some("ssh"), true),
        5000 => ("smb.open", Some("smb"), false),
        5001 => ("port.syn", None, false),
        5002 => ("port.nmap-os", None, false),
        5003 => ("port.nmap-null", None, false),
        5004 => ("port.nmap-xmas", None, false),
        5005 => ("port.nmap-fin", None, false),
        6001 => ("telnet.login", Some("telnet"), true),
        6002 => ("telnet.connection", Some("telnet"), false),
        7001 => ("http-proxy.login", Some("http-proxy"), true),
        8001 => ("mysql.login", Some("mysql"), true),
        9001 | 9002 => ("mssql.login", Some("mssql"), true),
        10001 => ("tftp", Some("tftp"), false),
        11001 => ("ntp.monlist", Some("ntp"), false),
        12001 => ("vnc", Some("vnc"), false),
        13001 => ("snmp", Some("snmp"), false),
        14001 => ("rdp", Some("rdp"), false),
        15001 => ("sip", Some("sip"), false),
        16001 => ("git", Some("git"), false),
        17001 => ("redis", Some("redis"), false),
        18001..=18005 => ("tcp-banner", None, false),
        19001 => ("llmnr", Some("llmnr"), false),
        20001 => ("mongodb", Some("mongodb"), false),
        99000..=99009 => ("user", None, false),
        _ => ("unknown", None, false),
    }
}

/// One record of OpenCanary. It never lets anyone in, so each login counts as refused.
pub fn record(mut object: Object) -> Result<Record, Refusal> {
    let code = fields::count(&mut object, "logtype").ok_or("logtype is not a number")?;
    let (kind, service, is_login) = meaning(code);
    let ts = match fields::time(&mut object, "utc_time") {
        Ok(ts) => ts,
        // Older releases write local time only; without an offset it is taken as UTC.
        Err(_) => fields::time(&mut object, "local_time")?,
    };
    let (mut username, mut password, mut client) = (None, None, None);
    if let Some(Value::Object(data)) = object.get_mut("logdata") {
        username = fields::secret(data, "USERNAME");
        password = fields::secret(data, "PASSWORD");
        client = fields::text(data, "REMOTEVERSION").or_else(|| fields::text(data, "USERAGENT"));
    }
    object.insert("logtype".into(), Value::from(code));
    Ok(Record {
        ts: Some(ts),
        kind: kind.to_owned(),
        sensor: fields::text(&mut object, "node_id").unwrap_or_default(),
        src: fields::address(&mut object, "src_host")?,
        dst: fields::address(&mut object, "dst_host")?,
        sport: fields::port(&mut object, "src_port")?,
        dport: fields::port(&mut object, "dst_port")?,
        service: service.map(str::to_owned),
        accepted: is_login.then_some(false),
        username,
        password,
        client,
        extra: object,
        ..Record::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_and_an_internal_record() {
        let login = r#"{"dst_host":"198.51.100.8","dst_port":22,"local_time":"2026-01-02 03:04:05.678901","local_time_adjusted":"2026-01-02 04:04:05.7","utc_time":"2026-01-02 03:04:05.678901","logdata":{"USERNAME":"root","PASSWORD":"","REMOTEVERSION":"SSH-2.0-Go","LOCALVERSION":"SSH-2.0-x"},"logtype":4002,"node_id":"c1","src_host":"192.0.2.9","src_port":4711}"#;
        assert_eq!(crate::detect::detect(login.as_bytes(), ""), Some(crate::Format::OpenCanary));
        let row = record(fields::object(login).unwrap()).unwrap();
        assert_eq!((row.kind.as_str(), row.accepted, row.password.as_deref()), ("ssh.login", Some(false), Some("")));
        assert_eq!(row.extra["logdata"]["LOCALVERSION"], "SSH-2.0-x");
        let internal = r#"{"dst_host":"","dst_port":-1,"local_time":"2026-01-02 03:04:05.678901","logdata":{"msg":{"logdata":"x"}},"logtype":1000,"node_id":"c1","src_host":"","src_port":-1}"#;
        let row = record(fields::object(internal).unwrap()).unwrap();
        assert_eq!((row.kind.as_str(), row.src, row.dport), ("internal", None, None));
    }
}
