package httpapi

// Operations returns the patterns of the API's routes.
func Operations() (patterns []string) {
	for _, rt := range api {
		patterns = append(patterns, rt.pattern)
	}
	return patterns
}
