package llmflow

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"strings"
)

const maxIDChars = 128

// Headers returns the headers that put a call under the span that ctx carries:
// x-trace-id, x-parent-id and traceparent. Outside of a span there are none.
func Headers(ctx context.Context) http.Header {
	return headersOf(Current(ctx))
}

func headersOf(span *Span) http.Header {
	found := http.Header{}
	if span == nil {
		return found
	}
	found.Set("X-Trace-Id", span.traceID)
	found.Set("X-Parent-Id", span.id)
	if isHex(span.traceID, 32) {
		found.Set("Traceparent", "00-"+span.traceID+"-"+span.id+"-01")
	}
	return found
}

// Transport is an [http.RoundTripper] that adds [Headers] of a request's context
// to it. A header that the request brings stays as it is. Session, conversation
// and user of the span go along only where the request goes to LLMFlow, which
// is its own host or this machine: they name people.
type Transport struct {
	// Base sends the requests: http.DefaultTransport where it is nil.
	Base http.RoundTripper
	// Hosts are those whose requests get headers, with or without port:
	// "localhost:8080", "api.openai.com". Without any, all requests do.
	Hosts []string
}

// RoundTrip sends a request with the headers added to a copy of it.
func (t *Transport) RoundTrip(request *http.Request) (*http.Response, error) {
	span := Current(request.Context())
	if span != nil && request.URL != nil && t.isWanted(request.URL) {
		request = withHeaders(request, span)
	}
	return t.base().RoundTrip(request)
}

// CloseIdleConnections closes those of Base, if it can.
func (t *Transport) CloseIdleConnections() {
	if base, ok := t.base().(interface{ CloseIdleConnections() }); ok {
		base.CloseIdleConnections()
	}
}

func (t *Transport) base() http.RoundTripper {
	if t.Base == nil {
		return http.DefaultTransport
	}
	return t.Base
}

func (t *Transport) isWanted(to *url.URL) bool {
	for _, host := range t.Hosts {
		if strings.EqualFold(host, to.Host) || strings.EqualFold(host, to.Hostname()) {
			return true
		}
	}
	return len(t.Hosts) == 0
}

func withHeaders(request *http.Request, span *Span) *http.Request {
	added := headersOf(span)
	if span.client.isHome(request.URL.Hostname()) {
		addLabels(added, span)
	}
	request = request.Clone(request.Context())
	if request.Header == nil {
		request.Header = http.Header{}
	}
	for name, values := range added {
		if _, isThere := request.Header[name]; !isThere {
			request.Header[name] = values
		}
	}
	return request
}

func addLabels(added http.Header, span *Span) {
	sessionID, conversationID, userID := span.labels()
	for name, value := range map[string]string{
		"X-Llmflow-Session-Id": sessionID, "X-Llmflow-Conversation-Id": conversationID, "X-Llmflow-User-Id": userID,
	} {
		if value != "" && isPlain(value) {
			added.Set(name, value)
		}
	}
}

// isHome says whether LLMFlow may be at host.
func (c *Client) isHome(host string) bool {
	if address := net.ParseIP(host); host == "localhost" || (address != nil && address.IsLoopback()) {
		return true
	}
	home, err := url.Parse(c.config.URL)
	return err == nil && strings.EqualFold(host, home.Hostname())
}

// idsIn reads trace and parent from the headers of a request: ours, else W3C's.
func idsIn(headers http.Header) (traceID, parentID string) {
	if traceID = foreignID(headers.Get("X-Trace-Id")); traceID != "" {
		return traceID, foreignID(headers.Get("X-Parent-Id"))
	}
	parts := strings.Split(headers.Get("Traceparent"), "-")
	if len(parts) >= 4 && isHex(parts[1], 32) && isHex(parts[2], 16) {
		return parts[1], parts[2]
	}
	return "", ""
}

// foreignID returns an id of somebody else's, if it can travel in a header.
func foreignID(text string) string {
	if len(text) > maxIDChars || !isPlain(text) {
		return ""
	}
	return text
}

func isPlain(text string) bool {
	return strings.IndexFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) < 0
}

func isHex(text string, length int) bool {
	return len(text) == length && strings.Trim(text, "0123456789abcdef") == "" && strings.Trim(text, "0") != ""
}
