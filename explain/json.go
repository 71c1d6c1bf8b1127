package explain

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// JSON writes a story as one JSON object, for other programs.
func JSON(s *Story) ([]byte, error) {
	var b bytes.Buffer
	w := json.NewEncoder(&b)
	w.SetEscapeHTML(false)
	w.SetIndent("", "  ")
	if err := w.Encode(s); err != nil {
		return nil, fmt.Errorf("write story: %w", err)
	}
	return b.Bytes(), nil
}
