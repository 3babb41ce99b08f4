package llmflow

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

// Run with: go test -run '^$' -bench . -benchtime 20000x

type swallowing struct{}

func (swallowing) RoundTrip(request *http.Request) (*http.Response, error) {
	_, err := io.Copy(io.Discard, request.Body)
	answer := io.NopCloser(strings.NewReader(`{"stored": 0, "rejected": 0}`))
	return &http.Response{StatusCode: http.StatusCreated, Body: answer}, err
}

// BenchmarkSpan measures what a span costs where it is made; delivery runs
// beside it, up to the socket.
func BenchmarkSpan(b *testing.B) {
	b.Setenv("LLMFLOW_SDK", "on")
	messages := make([]map[string]string, 10)
	for i := range messages {
		messages[i] = map[string]string{"role": "user", "content": strings.Repeat("x", 500)}
	}
	answer := strings.Repeat("y", 2000)
	there := Config{HTTPClient: &http.Client{Transport: swallowing{}}, MaxSpans: 1 << 30, MaxBytes: 1 << 30}
	away := Config{URL: "http://127.0.0.1:1", Logf: func(string, ...any) {}}
	for _, one := range []struct {
		name   string
		config Config
		say    func(*Span)
	}{
		{"nothing said", there, func(*Span) {}},
		{"two numbers", there, func(s *Span) { s.SetInput([]int{1, 2}); s.SetOutput(3) }},
		{"5 KB of messages", there, func(s *Span) { s.SetInput(messages); s.SetOutput(answer) }},
		{"5 KB of messages, LLMFlow absent", away, func(s *Span) { s.SetInput(messages); s.SetOutput(answer) }},
		{"off", Config{Disabled: true}, func(s *Span) { s.SetInput(messages); s.SetOutput(answer) }},
	} {
		b.Run(one.name, func(b *testing.B) {
			client := New(one.config)
			ctx, root := client.Trace(context.Background(), "bench")
			b.ReportAllocs()
			b.ResetTimer()
			for i := 0; i < b.N; i++ {
				_, span := client.Start(ctx, Tool, "search")
				one.say(span)
				span.End()
			}
			b.StopTimer()
			root.End()
			_ = client.Close()
		})
	}
	b.Run("json.Marshal of these messages", func(b *testing.B) {
		for i := 0; i < b.N; i++ {
			_, _ = json.Marshal(messages)
		}
	})
}
