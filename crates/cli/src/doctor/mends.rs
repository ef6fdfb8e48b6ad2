//! The setting that mends what a check found, for each kind of proxy. `docs/doctor.md` has the same table; a test
//! compares them.

use super::report::Check;

/// What may stand between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proxy {
    Nginx,
    Caddy,
    Haproxy,
    Apache,
    Traefik,
    Envoy,
    LoadBalancer,
    /// Not a proxy: the hub itself.
    Hub,
}

use Proxy::{Apache, Caddy, Envoy, Haproxy, Hub, LoadBalancer, Nginx, Traefik};

impl Proxy {
    #[cfg(test)]
    pub(super) const ALL: [Proxy; 8] = [Nginx, Caddy, Haproxy, Apache, Traefik, Envoy, LoadBalancer, Hub];

    pub(super) fn name(self) -> &'static str {
        match self {
            Nginx => "nginx",
            Caddy => "caddy",
            Haproxy => "haproxy",
            Apache => "apache",
            Traefik => "traefik",
            Envoy => "envoy",
            LoadBalancer => "load balancer",
            Hub => "hub",
        }
    }

    /// Which one says this of itself in `Server` or `Via`.
    pub(super) fn of(shown: &str) -> Option<Proxy> {
        let shown = shown.to_ascii_lowercase();
        let known = [
            (["nginx", "openresty"].as_slice(), Nginx),
            (&["caddy"], Caddy),
            (&["haproxy"], Haproxy),
            (&["apache"], Apache),
            (&["traefik"], Traefik),
            (&["envoy"], Envoy),
            (&["awselb", "cloudfront", "cloudflare", "google", "gws", "azure"], LoadBalancer),
        ];
        known.into_iter().find(|(names, _)| names.iter().any(|name| shown.contains(name))).map(|(_, it)| it)
    }
}

/// What mends it.
pub(super) fn mends(check: Check) -> &'static [(Proxy, &'static str)] {
    match check {
        Check::Connection => &[
            (Nginx, "proxy_pass http://HUB; in a location that has /sessions/"),
            (Caddy, "reverse_proxy HUB"),
            (Haproxy, "server hub HUB in the backend, and an acl that lets /sessions/ pass"),
            (Apache, "ProxyPass \"/\" \"http://HUB/\" nocanon"),
            (Traefik, "a router whose rule matches /sessions/, and loadBalancer.servers with the hub"),
            (Envoy, "a route with prefix /sessions/ to the hub's cluster"),
            (LoadBalancer, "a listener rule for /sessions/*, and /health/ready as its health check"),
            (
                Hub,
                "WATERTIGHT_TOKEN or --token, if it asks for one; allowed_hosts, if it says HOST_NOT_ALLOWED",
            ),
        ],
        Check::Certificate => &[
            (Nginx, "ssl_certificate with the full chain, the server's own certificate first"),
            (Caddy, "nothing by itself: look at its log for why a renewal fails"),
            (Haproxy, "bind ... ssl crt FILE with the full chain and the key"),
            (Apache, "SSLCertificateFile with the full chain"),
            (Traefik, "tls.certificates or a certificatesResolvers that renews"),
            (Envoy, "tls_certificates.certificate_chain with the full chain"),
            (LoadBalancer, "attach a certificate for this name, with its chain"),
            (Hub, "tls_cert with the full chain; it is read again when the file changes"),
        ],
        Check::Redirects => &[
            (Nginx, "use the address that return or rewrite leads to; 308 instead of 301 keeps a POST"),
            (Caddy, "use the https address; redir ... 308 keeps a POST"),
            (Haproxy, "use the address that http-request redirect leads to; code 308 keeps a POST"),
            (Apache, "use the address that Redirect leads to; Redirect 308 keeps a POST"),
            (Traefik, "use the address that redirectScheme leads to"),
            (Envoy, "use the address that redirect leads to; response_code PERMANENT_REDIRECT keeps a POST"),
            (LoadBalancer, "use the https address in clients"),
        ],
        Check::HttpVersion => &[
            (Nginx, "proxy_http_version 1.1; proxy_set_header Connection \"\";"),
            (Apache, "remove SetEnv force-proxy-request-1.0 and downgrade-1.0"),
            (Haproxy, "remove option httpclose; it speaks 1.1 by itself"),
            (LoadBalancer, "HTTP/1.1 or HTTP/2 as the protocol of the target group"),
        ],
        Check::SixConnections => &[
            (Nginx, "listen 443 ssl; http2 on;"),
            (Caddy, "a site address with https: HTTP/2 is on by itself"),
            (Haproxy, "bind :443 ssl crt FILE alpn h2,http/1.1"),
            (Apache, "Protocols h2 http/1.1"),
            (Traefik, "an entry point with tls: HTTP/2 is on by itself"),
            (Envoy, "alpn_protocols: [h2, http/1.1]"),
            (LoadBalancer, "an HTTPS listener, HTTP/2 switched on"),
            (Hub, "tls_cert and tls_key: HTTP/2 is on by itself"),
        ],
        Check::Buffering => &[
            (Nginx, "proxy_buffering off; or no proxy_ignore_headers X-Accel-Buffering"),
            (Caddy, "flush_interval -1, and no response_buffers or buffer_responses"),
            (Haproxy, "no http-response wait-for-body and no filter; it does not buffer answers by itself"),
            (Apache, "ProxyPass ... flushpackets=on, and no SetOutputFilter of ExtFilterDefine or Sed"),
            (Traefik, "no buffering middleware on this router"),
            (Envoy, "no buffer filter on this route"),
            (LoadBalancer, "switch response buffering and content inspection off for text/event-stream"),
        ],
        Check::Compression => &[
            (Nginx, "gzip off; or gzip_types without text/event-stream"),
            (Caddy, "encode with a match that leaves text/event-stream out"),
            (Haproxy, "compression type without text/event-stream"),
            (Apache, "SetEnvIf Request_URI ^/sessions/ no-gzip"),
            (Traefik, "compress.excludedContentTypes: [text/event-stream]"),
            (Envoy, "compressor filter: content_type without text/event-stream"),
            (LoadBalancer, "switch compression off for text/event-stream"),
        ],
        Check::IdleTimeOut => &[
            (Nginx, "proxy_read_timeout 60s;"),
            (Caddy, "transport http { read_timeout 0 }, and no write_timeout in servers"),
            (Haproxy, "timeout client 60s and timeout server 60s"),
            (Apache, "ProxyPass ... timeout=60, and Timeout 60"),
            (Traefik, "respondingTimeouts.writeTimeout 0 and idleTimeout 180s"),
            (Envoy, "timeout: 0s on the route, stream_idle_timeout 300s"),
            (
                LoadBalancer,
                "an idle time-out of 60 s; where it is for the whole answer, max_age of the hub below it",
            ),
            (Hub, "heartbeat_interval: half of the shortest time-out"),
        ],
        Check::LastEventId => &[
            (Nginx, "proxy_pass_request_headers on; no proxy_set_header Last-Event-ID"),
            (Caddy, "no header_up -Last-Event-ID"),
            (Haproxy, "no http-request del-header Last-Event-ID"),
            (Apache, "no RequestHeader unset Last-Event-ID"),
            (Traefik, "no customRequestHeaders that empties Last-Event-ID"),
            (Envoy, "no request_headers_to_remove: [last-event-id]"),
            (LoadBalancer, "let the header Last-Event-ID pass, or let clients send ?last_event_id="),
        ],
        Check::Authorization => &[
            (Nginx, "no proxy_set_header Authorization \"\", or the token in a cookie (token_cookie)"),
            (Caddy, "no header_up -Authorization"),
            (Haproxy, "no http-request del-header Authorization"),
            (Apache, "no RequestHeader unset Authorization"),
            (Traefik, "basicAuth.removeHeader false, no customRequestHeaders that empties Authorization"),
            (Envoy, "no request_headers_to_remove: [authorization]; jwt_authn with forward: true"),
            (LoadBalancer, "let the header Authorization pass"),
        ],
        Check::IdempotencyKey => &[
            (Nginx, "proxy_pass_request_headers on; no proxy_set_header Idempotency-Key"),
            (Caddy, "no header_up -Idempotency-Key"),
            (Haproxy, "no http-request del-header Idempotency-Key"),
            (Apache, "no RequestHeader unset Idempotency-Key"),
            (Traefik, "no customRequestHeaders that empties Idempotency-Key"),
            (Envoy, "no request_headers_to_remove: [idempotency-key]"),
            (LoadBalancer, "let the header Idempotency-Key pass"),
        ],
        Check::XAccelBuffering => &[
            (Nginx, "proxy_pass_header X-Accel-Buffering;"),
            (Caddy, "no header_down -X-Accel-Buffering"),
            (Haproxy, "no http-response del-header X-Accel-Buffering"),
            (Apache, "no Header unset X-Accel-Buffering"),
            (Traefik, "no customResponseHeaders that empties X-Accel-Buffering"),
            (Envoy, "no response_headers_to_remove: [x-accel-buffering]"),
            (LoadBalancer, "let the header X-Accel-Buffering pass"),
        ],
        Check::Host => &[
            (Nginx, "proxy_set_header Host $http_host;"),
            (Caddy, "no header_up Host; it passes the host on by itself"),
            (Haproxy, "no http-request set-header Host; it passes the host on by itself"),
            (Apache, "ProxyPreserveHost On"),
            (Traefik, "passHostHeader: true"),
            (Envoy, "no host_rewrite_literal and no auto_host_rewrite"),
            (LoadBalancer, "keep the host of the request"),
            (Hub, "cors_origins and allowed_hosts with the name that browsers use"),
        ],
        Check::EncodedSlash => &[
            (Nginx, "proxy_pass http://HUB; without a path behind it"),
            (Caddy, "no rewrite and no handle_path on these paths"),
            (Haproxy, "no http-request normalize-uri percent-decode-unreserved, no path rewrites"),
            (Apache, "AllowEncodedSlashes NoDecode, and nocanon in ProxyPass"),
            (Traefik, "entryPoints.NAME.http.encodedCharacters.allowEncodedSlash: true"),
            (Envoy, "path_with_escaped_slashes_action: KEEP_UNCHANGED"),
            (LoadBalancer, "pass paths on as they are, or use names without a slash"),
        ],
        Check::Cors => &[
            (Nginx, "no add_header Access-Control-*, and let OPTIONS pass"),
            (Caddy, "no header Access-Control-*, and let OPTIONS pass"),
            (Haproxy, "no http-response set-header Access-Control-*, and let OPTIONS pass"),
            (Apache, "no Header set Access-Control-*, and let OPTIONS pass"),
            (Traefik, "no accessControl* in a headers middleware"),
            (Envoy, "no cors filter on this route"),
            (LoadBalancer, "let OPTIONS pass; no CORS policy of its own"),
            (Hub, "cors_origins with this origin"),
        ],
        Check::HalfClose => &[
            (Nginx, "proxy_ignore_client_abort on; in a location for POST alone"),
            (Caddy, "no setting is known: let clients keep their side open until the answer is there"),
            (Haproxy, "no option abortonclose"),
            (LoadBalancer, "no setting is known: let clients keep their side open until the answer is there"),
        ],
        Check::Leaving => &[
            (Nginx, "proxy_ignore_client_abort off;"),
            (Haproxy, "option abortonclose"),
            (Apache, "no setting: it notices at its next write, so heartbeat_interval decides"),
            (Envoy, "a shorter stream_idle_timeout, at least two heartbeats"),
            (LoadBalancer, "no setting is known: heartbeat_interval decides when it writes"),
            (Hub, "a shorter heartbeat_interval: what stands between notices at its next write"),
        ],
        Check::BodyLimit => &[
            (Nginx, "client_max_body_size 8m;"),
            (Caddy, "request_body { max_size 8MiB }"),
            (Haproxy, "no http-request deny by req.body_size or content-length"),
            (Apache, "SecRequestBodyLimit 8388608 where mod_security is on; no Require by Content-Length"),
            (Traefik, "buffering.maxRequestBodyBytes: 8388608"),
            (Envoy, "buffer.max_request_bytes: 8388608"),
            (LoadBalancer, "a body limit of 8 MiB, or max_body_bytes of the hub as low as its own"),
        ],
        Check::Clock => &[(Hub, "let NTP set the clock of both machines; token_leeway is for the rest")],
    }
}
