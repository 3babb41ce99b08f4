// Package llmflow puts the steps of a Go program, and the LLM calls inside
// them, into one tree in LLMFlow.
//
//	func main() {
//		defer llmflow.Close()
//		ctx, root := llmflow.Trace(context.Background(), "answer")
//		defer root.End()
//		err := llmflow.Do(ctx, llmflow.Tool, "search", search)
//		…
//	}
//
// [Trace] begins a trace, [Start] a span inside the one its context carries,
// and [Do] runs a function in one. A [Transport] adds the headers that put an
// HTTP call under the span of its request's context.
//
// Spans are delivered in the background, in batches. The program is never held
// up and never hears of trouble: what does not fit into the bounded memory is
// dropped and counted, see [Client.Stats]. A nil [*Span], which is what begins
// where recording is off, takes every method. All of it may be used from
// several goroutines at once.
//
// The package needs the standard library alone.
package llmflow
