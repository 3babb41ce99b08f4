package llmflow

import (
	"context"
	"testing"
)

// BenchmarkSpan is what a span with a short input and output costs where it is
// made.
func BenchmarkSpan(b *testing.B) {
	b.Setenv("LLMFLOW_SDK", "on")
	client := New(Config{URL: "http://127.0.0.1:1", MaxSpans: b.N + 1, MaxBytes: 1 << 40, Logf: func(string, ...any) {}})
	ctx, root := client.Trace(context.Background(), "bench")
	defer root.End()
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i++ {
		_, span := Start(ctx, Tool, "search", Fields{Model: "gpt-4o-mini", PromptTokens: 12})
		span.SetInput(map[string]string{"query": "why is the sky blue?"})
		span.SetOutput("all about the sky")
		span.End()
	}
}

// BenchmarkOff is the same with LLMFLOW_SDK=off.
func BenchmarkOff(b *testing.B) {
	client := New(Config{Disabled: true})
	ctx := context.Background()
	b.ReportAllocs()
	for i := 0; i < b.N; i++ {
		_, span := client.Start(ctx, Tool, "search")
		span.SetInput("why is the sky blue?")
		span.End()
	}
}
