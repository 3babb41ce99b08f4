package llmflow

import (
	"reflect"
	"strings"
	"time"
)

const (
	maxLabelChars     = 256
	maxErrorChars     = 16 * 1024
	maxAttributeChars = 64 * 1024
	maxAttributes     = 256
	maxTags           = 64
	maxCount          = 1 << 53
	spanWeight        = 1024 // about the bytes a span holds beside its contents
)

// Fields is what can be said of a span, as it begins or by [Span.Set]. The
// names are those of POST /api/spans; zero says nothing.
type Fields struct {
	Provider     string `json:"provider,omitempty"`
	Model        string `json:"model,omitempty"`         // the one that answered
	RequestModel string `json:"request_model,omitempty"` // the one that was asked
	Operation    string `json:"operation,omitempty"`
	ResponseID   string `json:"response_id,omitempty"`
	FinishReason string `json:"finish_reason,omitempty"`
	IsStream     bool   `json:"is_stream,omitempty"`

	// Prompt tokens include cached and cache-write ones, completion tokens those
	// of reasoning.
	PromptTokens     int `json:"prompt_tokens,omitempty"`
	CompletionTokens int `json:"completion_tokens,omitempty"`
	TotalTokens      int `json:"total_tokens,omitempty"`
	CachedTokens     int `json:"cached_tokens,omitempty"`
	CacheWriteTokens int `json:"cache_write_tokens,omitempty"`
	ReasoningTokens  int `json:"reasoning_tokens,omitempty"`
	// EstimatedCost is worked out from the tokens where it is nil; see [USD].
	EstimatedCost *float64 `json:"estimated_cost,omitempty"`
	// TTFT is the time to the first token.
	TTFT time.Duration `json:"-"`

	// These three are passed on to the spans that begin inside.
	SessionID      string `json:"session_id,omitempty"`
	ConversationID string `json:"conversation_id,omitempty"`
	UserID         string `json:"user_id,omitempty"`

	Tags          []string `json:"tags,omitempty"`
	AgentName     string   `json:"agent_name,omitempty"`
	PromptName    string   `json:"prompt_name,omitempty"`
	PromptVersion string   `json:"prompt_version,omitempty"`
	Tool          string   `json:"tool,omitempty"`
	ServiceName   string   `json:"service_name,omitempty"`

	// Status is an HTTP status; 200 where nothing failed.
	Status int `json:"status,omitempty"`

	// Attributes are whatever else there is to say, by name.
	Attributes map[string]any `json:"-"`
}

// USD returns a cost for [Fields].
func USD(amount float64) *float64 { return &amount }

// merge takes over what is not zero. A figure that LLMFlow would refuse the span
// for becomes an attribute.
func (p *posted) merge(told Fields, attributes map[string]content) {
	from, to := reflect.ValueOf(told), reflect.ValueOf(&p.Fields).Elem()
	for i := 0; i < from.NumField(); i++ {
		value := from.Field(i)
		if value.IsZero() {
			continue
		}
		switch value.Kind() {
		case reflect.String:
			to.Field(i).SetString(label(value.String()))
		case reflect.Bool:
			to.Field(i).SetBool(true)
		case reflect.Int:
			name, _, _ := strings.Cut(from.Type().Field(i).Tag.Get("json"), ",")
			if count := value.Int(); count < 0 || count >= maxCount || (name == "status" && count > 999) {
				attributes[name] = capture(count, maxLabelChars)
			} else {
				to.Field(i).SetInt(count)
			}
		}
	}
	if told.TTFT > 0 {
		p.TTFTMS = float64(told.TTFT.Nanoseconds()) / 1e6
	}
	if cost := told.EstimatedCost; cost != nil {
		if *cost >= 0 && *cost < maxCount {
			p.EstimatedCost = USD(*cost)
		} else {
			attributes["estimated_cost"] = capture(*cost, maxLabelChars)
		}
	}
	p.tag(told.Tags)
}

func (p *posted) tag(told []string) {
	for _, tag := range told {
		tag = label(strings.TrimSpace(tag))
		if tag != "" && len(p.Tags) < maxTags && !contains(p.Tags, tag) {
			p.Tags = append(p.Tags, tag)
		}
	}
}

func contains(texts []string, wanted string) bool {
	for _, text := range texts {
		if text == wanted {
			return true
		}
	}
	return false
}

// cut returns the first so many characters.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	seen := 0
	for at := range text {
		if seen == limit {
			return text[:at]
		}
		seen++
	}
	return text
}

// label returns a short text that does not keep in memory whatever longer one
// it is a piece of.
func label(text string) string {
	return strings.Clone(cut(text, maxLabelChars))
}
