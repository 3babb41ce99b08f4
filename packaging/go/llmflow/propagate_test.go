package llmflow

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// A request carries the span of its context: to all hosts, or to those that are named.
func TestTransport(t *testing.T) {
	client, _ := connected(t)
	var seen http.Header
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = r.Header }))
	t.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "http://")
	ctx, span := client.Trace(context.Background(), "answer", Fields{SessionID: "s-7", UserID: "l\u00f6we"})
	defer span.End()
	for _, one := range []struct {
		ctx   context.Context
		hosts []string
		sent  map[string]string
		id    string
	}{
		{ctx, nil, nil, span.TraceID()},
		{ctx, []string{host}, nil, span.TraceID()},
		{ctx, []string{"api.openai.com", "127.0.0.1"}, nil, span.TraceID()},
		{ctx, []string{"api.openai.com"}, nil, ""},
		{ctx, nil, map[string]string{"X-Trace-Id": "mine"}, "mine"},
		{context.Background(), nil, nil, ""},
	} {
		base := &http.Transport{}
		request, _ := http.NewRequestWithContext(one.ctx, http.MethodGet, server.URL, nil)
		for name, value := range one.sent {
			request.Header.Set(name, value)
		}
		sender := http.Client{Transport: &Transport{Base: base, Hosts: one.hosts}}
		answer, err := sender.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		sender.CloseIdleConnections()
		expect(t, "trace", seen.Get("x-trace-id"), one.id)
		expect(t, "header added to the request itself", len(request.Header), len(one.sent))
		if one.id == span.TraceID() {
			expect(t, "others", []string{
				seen.Get("x-parent-id"), seen.Get("traceparent"), seen.Get("x-llmflow-session-id"),
				seen.Get("x-llmflow-user-id"),
			}, []string{span.ID(), "00-" + span.TraceID() + "-" + span.ID() + "-01", "s-7", ""})
		}
	}
}

type seeing func(*http.Request)

func (s seeing) RoundTrip(request *http.Request) (*http.Response, error) {
	s(request)
	return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
}

// Who the user is goes to LLMFlow alone.
func TestLabelsStayHome(t *testing.T) {
	client := newClient(t, Config{URL: "https://llmflow.internal:3000", Logf: t.Logf})
	ctx, span := client.Trace(context.Background(), "answer", Fields{UserID: "ada", ConversationID: "c"})
	_ = span // never ended: nothing is sent
	for host, wanted := range map[string]string{
		"llmflow.internal:8080": "ada", "localhost:8080": "ada", "[::1]:8080": "ada", "api.openai.com": "",
	} {
		var seen http.Header
		request := (&http.Request{URL: &url.URL{Scheme: "http", Host: host}}).WithContext(ctx)
		answer, err := (&Transport{Base: seeing(func(r *http.Request) { seen = r.Header })}).RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		expect(t, "user at "+host, seen.Get("X-LLMFlow-User-Id"), wanted)
		expect(t, "trace at "+host, seen.Get("X-Trace-Id"), span.TraceID())
	}
}

// A trace id that W3C does not know travels in our own headers alone.
func TestForeignIDs(t *testing.T) {
	client, _ := connected(t)
	ctx, span := client.Trace(context.Background(), "answer", Parent(http.Header{"X-Trace-Id": {"run 7"}}))
	defer span.End()
	expect(t, "headers", Headers(ctx), http.Header{"X-Trace-Id": {"run 7"}, "X-Parent-Id": {span.ID()}})
}
