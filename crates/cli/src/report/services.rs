//! Names of ports, so that a reader need not know them by heart.
//!
//! IANA's registry where attacks mean what is registered there, else what attackers look for on that port.

use noroshi_model::report::PortProtocol;

/// What usually answers on a port; empty when nothing is usual.
pub fn name(protocol: PortProtocol, port: u16) -> &'static str {
    let table = match protocol {
        PortProtocol::Tcp => TCP,
        PortProtocol::Udp => UDP,
        PortProtocol::Sctp => SCTP,
    };
    table.binary_search_by_key(&port, |(port, _)| *port).map_or("", |at| table[at].1)
}

#[rustfmt::skip] // a table reads better in rows
const TCP: &[(u16, &str)] = &[
    (7, "echo"), (19, "chargen"), (20, "ftp data"), (21, "ftp"), (22, "ssh"), (23, "telnet"), (25, "smtp"),
    (53, "dns"), (79, "finger"), (80, "http"), (81, "http (cameras)"), (82, "http (cameras)"), (83, "http (cameras)"),
    (84, "http (cameras)"), (85, "http (cameras)"), (88, "kerberos, http"), (102, "s7 (industrial)"), (110, "pop3"),
    (111, "portmap"), (113, "ident"), (119, "nntp"), (135, "ms rpc"), (139, "netbios"), (143, "imap"), (161, "snmp"),
    (179, "bgp"), (389, "ldap"), (443, "https"), (444, "https"), (445, "smb"), (465, "smtps"), (502, "modbus"),
    (503, "modbus"), (512, "rexec"), (513, "rlogin"), (514, "rsh"), (515, "lpd"), (548, "afp"), (554, "rtsp"),
    (587, "smtp submission"), (623, "ipmi"), (631, "ipp"), (636, "ldaps"), (789, "red lion (industrial)"),
    (873, "rsync"), (990, "ftps"), (993, "imaps"), (995, "pop3s"), (1023, "telnet"), (1080, "socks"), (1099, "java rmi"),
    (1194, "openvpn"), (1433, "ms sql"), (1434, "ms sql"), (1521, "oracle"), (1701, "l2tp"), (1723, "pptp"),
    (1883, "mqtt"), (1911, "fox (building)"), (1962, "pcworx (industrial)"), (2000, "sccp"), (2049, "nfs"),
    (2082, "cpanel"), (2083, "cpanel"), (2086, "whm"), (2087, "whm"), (2121, "ftp"), (2181, "zookeeper"),
    (2222, "ssh"), (2323, "telnet"), (2375, "docker"), (2376, "docker"), (2379, "etcd"), (2404, "iec 104"),
    (2455, "codesys"), (2480, "orientdb"), (3000, "http (development)"), (3128, "http proxy"), (3260, "iscsi"),
    (3306, "mysql"), (3389, "rdp"), (3390, "rdp"), (3690, "subversion"), (4000, "http"), (4243, "docker"),
    (4433, "https"), (4443, "https"), (4444, "remote shell"), (4567, "http (cpe)"), (4840, "opc ua"), (4899, "radmin"),
    (5000, "upnp, docker"), (5038, "asterisk"), (5060, "sip"), (5061, "sips"), (5222, "xmpp"), (5353, "mdns"),
    (5357, "ws-discovery"), (5432, "postgresql"), (5555, "adb"), (5601, "kibana"), (5672, "amqp"), (5683, "coap"),
    (5800, "vnc"), (5900, "vnc"), (5901, "vnc"), (5938, "teamviewer"), (5984, "couchdb"), (5985, "winrm"),
    (5986, "winrm"), (6000, "x11"), (6001, "x11"), (6379, "redis"), (6443, "kubernetes"), (6667, "irc"),
    (7001, "weblogic"), (7070, "anydesk, rtsp"), (7170, "realport"), (7443, "https"), (7474, "neo4j"),
    (7547, "tr-069"), (7777, "http"), (8000, "http"), (8001, "http"), (8008, "http"), (8009, "ajp"),
    (8010, "http"), (8080, "http proxy"), (8081, "http"), (8082, "http"), (8083, "http"), (8086, "influxdb"),
    (8087, "http"), (8088, "hadoop yarn"), (8089, "splunk"), (8090, "http"), (8123, "home assistant, clickhouse"),
    (8139, "puppet"), (8140, "puppet"), (8181, "http"), (8291, "mikrotik"), (8332, "bitcoin rpc"), (8333, "bitcoin"),
    (8443, "https"), (8500, "consul"), (8545, "ethereum rpc"), (8728, "mikrotik"), (8834, "nessus"),
    (8880, "http"), (8883, "mqtt tls"), (8888, "http"), (8889, "http"), (9000, "http"), (9001, "tor, http"),
    (9042, "cassandra"), (9090, "prometheus, http"), (9092, "kafka"), (9100, "printer"), (9200, "elasticsearch"),
    (9300, "elasticsearch"), (9418, "git"), (9443, "https"), (9600, "omron (industrial)"), (9999, "http"),
    (10000, "webmin"), (10001, "ubiquiti"), (10250, "kubelet"), (11211, "memcached"), (15672, "rabbitmq"),
    (16992, "intel amt"), (18789, "http"), (20000, "dnp3"), (20547, "proconos"), (23389, "rdp"), (25565, "minecraft"),
    (26257, "cockroachdb"), (27017, "mongodb"), (27018, "mongodb"), (30005, "tr-069"), (33060, "mysql"),
    (33389, "rdp"), (34567, "dvr (xmeye)"), (37215, "huawei upnp"), (37777, "dahua dvr"), (44818, "ethernet/ip"),
    (47808, "bacnet"), (49152, "upnp"), (50000, "sap, db2"), (50070, "hadoop"), (52869, "realtek upnp"),
    (55555, "adb, http"), (60001, "jaws dvr"), (61616, "activemq"), (62078, "apple lockdown"), (65530, "telnet"),
];

#[rustfmt::skip] // a table reads better in rows
const UDP: &[(u16, &str)] = &[
    (7, "echo"), (17, "qotd"), (19, "chargen"), (53, "dns"), (67, "dhcp"), (68, "dhcp"), (69, "tftp"),
    (111, "portmap"), (123, "ntp"), (137, "netbios"), (138, "netbios"), (161, "snmp"), (162, "snmp trap"),
    (177, "xdmcp"), (389, "cldap"), (427, "slp"), (443, "quic"), (500, "ike"), (514, "syslog"), (520, "rip"),
    (523, "db2"), (623, "ipmi"), (626, "serialnumberd"), (1194, "openvpn"), (1434, "ms sql"), (1604, "citrix"),
    (1645, "radius"), (1701, "l2tp"), (1812, "radius"), (1900, "ssdp"), (2123, "gtp-c"), (2152, "gtp-u"),
    (2362, "digiman"), (3074, "xbox"), (3283, "apple remote desktop"), (3389, "rdp"), (3478, "stun"),
    (3544, "teredo"), (3702, "ws-discovery"), (4500, "ike nat-t"), (4789, "vxlan"), (5004, "rtp"), (5060, "sip"),
    (5093, "sentinel"), (5351, "nat-pmp"), (5353, "mdns"), (5355, "llmnr"), (5632, "pcanywhere"), (5683, "coap"),
    (6081, "geneve"), (6881, "bittorrent"), (7547, "tr-069"), (8088, "http"), (9034, "realtek jungle sdk"),
    (9987, "teamspeak"), (10001, "ubiquiti"), (10074, "mitel tp-240"), (11211, "memcached"), (17185, "vxworks debug"),
    (19132, "minecraft bedrock"), (20000, "dnp3"), (27015, "steam"), (27960, "quake"), (30120, "fivem"),
    (32414, "plex"), (33434, "traceroute"), (34567, "dvr (xmeye)"), (37020, "hikvision"), (37810, "dahua dvr"),
    (41794, "crestron"), (44818, "ethernet/ip"), (47808, "bacnet"), (50000, "upnp"), (51820, "wireguard"),
    (53413, "netis router"),
];

const SCTP: &[(u16, &str)] =
    &[(2905, "m3ua"), (2944, "h.248"), (3868, "diameter"), (9900, "iua"), (36412, "s1ap"), (38412, "ngap")];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted_without_repetition() {
        for table in [TCP, UDP, SCTP] {
            assert!(table.is_sorted_by(|a, b| a.0 < b.0));
        }
    }

    #[test]
    fn names_depend_on_the_protocol() {
        assert_eq!(name(PortProtocol::Tcp, 23), "telnet");
        assert_eq!(name(PortProtocol::Udp, 389), "cldap");
        assert_eq!(name(PortProtocol::Tcp, 389), "ldap");
        assert_eq!(name(PortProtocol::Tcp, 1), "");
    }
}
