module briefing

go 1.19

require llmflow v0.0.0

// The SDK stands in this repository. A program of yours has a copy of it, say in
// third_party/llmflow, and names that here.
replace llmflow => ../../../packaging/go/llmflow
