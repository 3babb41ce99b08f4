module llmflow

go 1.19
