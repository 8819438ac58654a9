package httpapi

// Operations returns the patterns of the API's routes.
func (h *Handler) Operations() (patterns []string) {
	for _, rt := range h.api() {
		patterns = append(patterns, rt.pattern)
	}
	return patterns
}
