//! The signs that a proxy passed a request on: fields that proxies add, and clients on their own
//! machine do not. None is believed, and each is a sign.

use http::HeaderMap;

/// A field of a request, by its whole name or its beginning, in lower case.
enum Sign {
    Field(&'static str),
    Beginning(&'static str),
}

use Sign::{Beginning, Field};

/// The signs, and the programs that set each.
#[rustfmt::skip]
const SIGNS: [(Sign, &str); 36] = [
    (Field("forwarded"), "RFC 7239"),
    (Field("via"), "RFC 9110 section 7.6.3; Squid, Varnish, fly.io, Google, Heroku"),
    (Field("cdn-loop"), "RFC 8586; Cloudflare, Fastly and other networks"),
    (Field("early-data"), "RFC 8470 section 5.1: what ends TLS in front of a server"),
    (Beginning("client-cert"), "RFC 9440: what ends TLS in front of a server"),
    (Beginning("x-forwarded"), "nearly all: nginx and the ingress of Kubernetes, Caddy, Apache, HAProxy, Traefik, Envoy, AWS, ngrok, tailscale serve, VS Code's tunnels"),
    (Beginning("x-original-"), "the ingress of Kubernetes, IIS, Azure Application Gateway"),
    (Field("x-real-ip"), "nginx and its ingress, Traefik"),
    (Field("x-scheme"), "the ingress of Kubernetes"),
    (Field("x-client-ip"), "several networks and load balancers"),
    (Field("x-cluster-client-ip"), "Rackspace, Riverbed, Zeus"),
    (Field("x-proxyuser-ip"), "Google's proxies"),
    (Field("client-ip"), "several load balancers"),
    (Field("true-client-ip"), "Akamai, Cloudflare"),
    (Beginning("cf-"), "Cloudflare and cloudflared: CF-Connecting-IP, CF-Ray, CF-Visitor, Cf-Warp-Tag-Id, Cf-Access-Jwt-Assertion"),
    (Beginning("fastly-"), "Fastly: Fastly-Client-IP, Fastly-FF, Fastly-SSL"),
    (Beginning("fly-"), "fly.io: Fly-Client-IP, Fly-Forwarded-Port, Fly-Region"),
    (Beginning("x-azure-"), "Azure Front Door: X-Azure-ClientIP, X-Azure-FDID, X-Azure-SocketIP"),
    (Beginning("x-fd-"), "Azure Front Door: X-FD-HealthProbe"),
    (Beginning("x-appgw-"), "Azure Application Gateway"),
    (Beginning("x-arr-"), "Azure App Service, IIS: X-ARR-LOG-ID, X-ARR-SSL"),
    (Beginning("x-amzn-"), "AWS load balancers: X-Amzn-Trace-Id"),
    (Beginning("x-amz-cf-"), "AWS CloudFront"),
    (Beginning("cloudfront-"), "AWS CloudFront: CloudFront-Viewer-Address"),
    (Field("x-cloud-trace-context"), "Google's load balancers"),
    (Beginning("x-goog-"), "Google's Identity-Aware Proxy"),
    (Beginning("x-appengine-"), "Google App Engine"),
    (Beginning("x-envoy-"), "Envoy, Istio, Contour: X-Envoy-External-Address, X-Envoy-Expected-Rq-Timeout-Ms"),
    (Beginning("x-akamai-"), "Akamai"),
    (Beginning("x-vercel-"), "Vercel"),
    (Beginning("x-nf-"), "Netlify"),
    (Beginning("x-sucuri-"), "Sucuri"),
    (Beginning("incap-"), "Imperva: Incap-Client-IP"),
    (Field("x-varnish"), "Varnish"),
    (Beginning("x-auth-request-"), "oauth2-proxy"),
    (Beginning("tailscale-"), "tailscale serve and funnel: Tailscale-User-Login, Tailscale-Funnel-Request"),
];

/// Whether a field shows that a proxy passed the request on. A proxy that adds none, and a port that
/// is passed on as bytes (ssh -R, socat, kubectl port-forward, `tailscale funnel --tcp`), cannot be
/// seen by the fields.
pub fn is_forwarded(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| is_sign(name.as_str()))
}

fn is_sign(name: &str) -> bool {
    // Most fields of most requests begin otherwise, and each request is looked at.
    const FIRST: &[u8] = b"cefitvx";
    let first = name.as_bytes().first();
    first.is_some_and(|byte| FIRST.contains(byte))
        && SIGNS.iter().any(|(sign, _)| match sign {
            Field(field) => name == *field,
            Beginning(beginning) => name.starts_with(beginning),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(names: &[&str]) -> HeaderMap {
        let fields = names.iter().map(|name| {
            let name: http::HeaderName = name.parse().unwrap();
            (name, http::HeaderValue::from_static("1"))
        });
        fields.collect()
    }

    #[test]
    fn what_proxies_add_is_a_sign_and_what_clients_send_is_none() {
        for name in [
            "Forwarded",
            "Via",
            "CDN-Loop",
            "Early-Data",
            "Client-Cert-Chain",
            "X-Forwarded-For",
            "X-Forwarded-Server",
            "X-Forwarded",
            "X-Original-Forwarded-For",
            "X-Original-Host",
            "X-Real-IP",
            "X-Scheme",
            "X-Cluster-Client-IP",
            "True-Client-IP",
            "CF-Connecting-IP",
            "CF-Connecting-IPv6",
            "CF-Ray",
            "Fastly-Client-IP",
            "Fly-Client-IP",
            "X-Azure-ClientIP",
            "X-Amzn-Trace-Id",
            "X-Envoy-External-Address",
            "X-Varnish",
            "CloudFront-Viewer-Address",
            "Tailscale-User-Login",
            "Tailscale-Funnel-Request",
        ] {
            assert!(is_forwarded(&headers(&["Host", name])), "{name}");
        }
        // Of curl, browsers, git, upload widgets, and wharf's own.
        let own = headers(&[
            "Host",
            "User-Agent",
            "Accept",
            "Accept-Encoding",
            "Accept-Language",
            "Authorization",
            "Cache-Control",
            "Connection",
            "Content-Length",
            "Content-Type",
            "Cookie",
            "DNT",
            "Expect",
            "Idempotency-Key",
            "If-Match",
            "Origin",
            "Pragma",
            "Prefer",
            "Priority",
            "Range",
            "Referer",
            "Sec-CH-UA",
            "Sec-Fetch-Mode",
            "Sec-Fetch-Site",
            "Sec-GPC",
            "TE",
            "Traceparent",
            "Tus-Resumable",
            "Upgrade-Insecure-Requests",
            "Upload-Offset",
            "Wharf-Expires-In",
            "Wharf-Token",
            "X-Request-Id",
            "X-Requested-With",
            "X-Purpose",
        ]);
        assert!(!is_forwarded(&own));
    }
}
