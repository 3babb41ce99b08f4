package llmflow

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"sort"
	"unicode/utf8"
)

const (
	maxContentChars = 256 * 1024
	maxItems        = 1000 // of a list or object that has to be cut
	maxDecoded      = 32   // times the limit: what is longer is cut as text
)

// content is a value as JSON, written when it was given: the program goes on
// changing it.
type content = json.RawMessage

// textIn returns what a content says if it is a text, else its JSON.
func textIn(told content) string {
	var text string
	if json.Unmarshal(told, &text) == nil {
		return text
	}
	return string(told)
}

func captureAll(values map[string]any) map[string]content {
	found := make(map[string]content, len(values))
	for name, value := range values {
		if len(found) == maxAttributes {
			break
		}
		found[name] = capture(value, maxAttributeChars)
	}
	return found
}

// capture returns a value as JSON of about so many characters at most.
func capture(value any, limit int) (kept content) {
	defer func() {
		if cause := recover(); cause != nil {
			kept = quoted(fmt.Sprintf("<%T: its JSON cannot be written: it panics>", value))
		}
	}()
	switch told := value.(type) {
	case string:
		return quoted(shorten(told, &limit))
	case []byte:
		if !utf8.Valid(told) {
			return quoted(fmt.Sprintf("<%d bytes>", len(told)))
		}
		// No more is copied than may be kept, and what tells that it was cut.
		return quoted(shortenBytes(told, limit))
	case float64:
		if math.IsNaN(told) || math.IsInf(told, 0) {
			return quoted(fmt.Sprint(told))
		}
	}
	written, err := marshal(value)
	if err != nil {
		return quoted(fmt.Sprintf("<%T: %s>", value, textOf(err)))
	}
	if len(written) <= limit {
		return written
	}
	return shortenJSON(written, limit)
}

func marshal(value any) ([]byte, error) {
	if told, ok := value.(error); ok {
		if _, ok := value.(json.Marshaler); !ok {
			value = textOf(told)
		}
	}
	return json.Marshal(value)
}

func quoted(text string) content {
	written, _ := json.Marshal(text) // a text can always be written
	return written
}

// shorten returns as much of a text as there is room for, and takes it off.
func shorten(text string, room *int) string {
	kept := cut(text, *room)
	*room -= len(kept)
	if len(kept) == len(text) {
		return kept
	}
	*room = 0
	return fmt.Sprintf("%s… [%d more bytes]", kept, len(text)-len(kept))
}

func shortenBytes(data []byte, limit int) string {
	head := data
	if most := limit * utf8.UTFMax; len(head) > most {
		head = head[:most]
	}
	kept := cut(string(head), limit)
	if len(kept) == len(data) {
		return kept
	}
	return fmt.Sprintf("%s… [%d more bytes]", kept, len(data)-len(kept))
}

// shortenJSON cuts the long parts of a value and leaves its shape.
func shortenJSON(written []byte, limit int) content {
	if len(written) > limit*maxDecoded {
		return quoted(shortenBytes(written, limit))
	}
	reader := json.NewDecoder(bytes.NewReader(written))
	reader.UseNumber()
	var value any
	if err := reader.Decode(&value); err != nil {
		return quoted(shortenBytes(written, limit))
	}
	room := limit
	shortened, err := json.Marshal(shortenValue(value, &room))
	if err != nil {
		return quoted(shortenBytes(written, limit))
	}
	return shortened
}

func shortenValue(value any, room *int) any {
	*room -= 2
	switch told := value.(type) {
	case string:
		return shorten(told, atLeastZero(room))
	case []any:
		return shortenList(told, room)
	case map[string]any:
		return shortenObject(told, room)
	default:
		*room -= 4
		return value
	}
}

func shortenList(items []any, room *int) []any {
	kept := []any{}
	for _, item := range items {
		if len(kept) == maxItems || *room <= 0 {
			return append(kept, fmt.Sprintf("… %d more", len(items)-len(kept)))
		}
		kept = append(kept, shortenValue(item, room))
	}
	return kept
}

func shortenObject(members map[string]any, room *int) map[string]any {
	kept := map[string]any{}
	for _, name := range shortFirst(members) {
		if len(kept) == maxItems || *room <= 0 {
			kept["…"] = fmt.Sprintf("%d more", len(members)-len(kept))
			return kept
		}
		short := cut(name, maxLabelChars)
		*room -= len(short)
		kept[short] = shortenValue(members[name], room)
	}
	return kept
}

// shortFirst sorts names so that a role or an id is kept rather than more of a
// long text.
func shortFirst(members map[string]any) []string {
	names := make([]string, 0, len(members))
	for name := range members {
		names = append(names, name)
	}
	sort.Slice(names, func(i, j int) bool {
		a, b := isShort(members[names[i]]), isShort(members[names[j]])
		if a != b {
			return a
		}
		return names[i] < names[j]
	})
	return names
}

func isShort(value any) bool {
	switch told := value.(type) {
	case string:
		return len(told) <= maxLabelChars
	case []any, map[string]any:
		return false
	}
	return true
}

func atLeastZero(room *int) *int {
	if *room < 0 {
		*room = 0
	}
	return room
}
