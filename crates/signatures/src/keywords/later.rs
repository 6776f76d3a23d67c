//! Keywords of Snort's and Suricata's that need more than one packet's headers: its bytes, the stream, a count, a decoded protocol.
//! They are known by name, so that a rule that has one rests and is counted, and a slip of the pen is told from it. Tests nothing.

/// Keywords by what they need.
const GROUPS: [(&str, &[&str]); 4] = [
    (
        "the payload",
        &[
            "content", "uricontent", "pcre", "content-list", "offset", "depth", "distance", "within", "nocase", "rawbytes", "fast_pattern",
            "isdataat", "byte_test", "byte_jump", "byte_extract", "byte_math", "regex", "replace", "rpc", "base64_decode", "base64_data",
            "pkt_data", "file_data", "http_method", "http_uri", "http_raw_uri", "http_header", "http_raw_header", "http_cookie",
            "http_raw_cookie", "http_client_body", "http_stat_code", "http_stat_msg", "http_encode", "urilen", "ftpbounce", "asn1", "cvs",
            "dce_iface", "dce_opnum", "dce_stub_data", "sip_method", "sip_stat_code", "sip_header", "sip_body", "gtp_type", "gtp_info",
            "gtp_version", "ssl_version", "ssl_state", "file_type", "sd_pattern", "protected_content", "hash", "length", "bufferlen", "bsize",
            "startswith", "endswith", "dotprefix", "prefilter", "ftpdata_command", "lua", "luajit", "dataset", "datarep", "iprep", "entropy",
            "appid", "modbus_func", "modbus_unit", "modbus_data", "dnp3_func", "dnp3_ind", "dnp3_obj", "dnp3_data", "http.method", "http.uri",
            "http.uri.raw", "http.header", "http.header.raw", "http.header_names", "http.cookie", "http.user_agent", "http.host",
            "http.host.raw", "http.request_line", "http.request_body", "http.response_line", "http.response_body", "http.stat_code",
            "http.stat_msg", "http.content_type", "http.content_len", "http.accept", "http.accept_enc", "http.accept_lang", "http.referer",
            "http.connection", "http.protocol", "http.start", "http.server", "http.location", "file.data", "file.name", "filename", "fileext",
            "filemagic", "filestore", "filemd5", "filesha1", "filesha256", "filesize", "dns.query", "dns_query", "dns.opcode", "dns.answer.name",
            "tls.sni", "tls_sni", "tls.cert_subject", "tls.cert_issuer", "tls.cert_serial", "tls.cert_fingerprint", "tls.subject",
            "tls.issuerdn", "tls.version", "tls.certs", "tls.store", "ja3.hash", "ja3.string", "ja3s.hash", "ja3s.string", "ssh.proto",
            "ssh.software", "ssh.protoversion", "ssh.hassh", "smb.named_pipe", "smb.share", "ftp.command", "krb5.cname", "krb5.sname",
            "tcp.hdr", "udp.hdr", "ipv4.hdr", "ipv6.hdr", "icmpv4.hdr", "icmpv6.hdr",
        ],
    ),
    ("streams", &["flowbits", "flowint", "stream_size", "stream_reassemble", "flow.age", "xbits", "noalert", "app-layer-protocol", "app-layer-event", "decode-event", "stream-event"]),
    ("a count", &["threshold", "detection_filter", "count"]),
    ("more of the header", &["fragoffset", "tcp.mss", "geoip", "ttl_range", "icmpv6.mtu", "bypass", "nfq_set_mark", "activates", "activated_by", "l3_hdr", "rem", "service"]),
];

/// Protocols of Suricata's that are none of IP: rules about them rest.
const PROTOCOLS: [&str; 33] = [
    "http", "http1", "http2", "https", "tls", "ssl", "ftp", "ftp-data", "smb", "dns", "dcerpc", "dhcp", "ssh", "smtp", "imap", "pop3",
    "modbus", "dnp3", "enip", "nfs", "ike", "ikev2", "krb5", "ntp", "rfb", "rdp", "snmp", "tftp", "sip", "mqtt", "pgsql", "telnet", "quic",
];

/// The keyword, if it is one of these.
pub fn keyword(name: &str) -> Option<&'static str> {
    names().find(|known| *known == name)
}

/// The protocol, if it is one of these.
pub fn protocol(name: &str) -> Option<&'static str> {
    PROTOCOLS.into_iter().find(|known| *known == name)
}

/// What a keyword or protocol of these needs.
pub fn needs(name: &str) -> &'static str {
    let found = GROUPS.into_iter().find(|(_, names)| names.contains(&name)).map(|(needs, _)| needs);
    found.unwrap_or(if name == "flow" { "streams" } else { "a decoded protocol" })
}

/// All of them.
pub fn names() -> impl Iterator<Item = &'static str> {
    GROUPS.into_iter().flat_map(|(_, names)| names.iter().copied())
}
