package conform

import "strings"

// nameResult is the name that a hash command prints the result of its
// verification under: that of the field Message-ID-SHA256.
const nameResult = "Result"

// verification returns the tests of a command that verifies hash fields.
func (h *hasher) verification() (tests []Test) {
	const id = "Message-ID: <abc@example.org>\n"
	right := named("", "", "abc@example.org").Hashes[nameSHA256]
	wrong := named("", "", "x@y").Hashes[nameSHA256]
	field := func(value string) string { return "Message-ID-SHA256: " + value + "\n" }
	for _, c := range []struct{ id, name, message, want string }{
		{"VER-1", "no field", id, "none"},
		{"VER-1", "the right hash", id + field(right), "pass"},
		{"VER-1", "the hash of something else", id + field(wrong), "fail"},
		{"VER-1", "several fields that agree", id + field(right) + field(right), "permerror"},
		{"VER-1", "no hash", id + field("x"), "permerror"},
		{"VER-1", "no Message-ID", field(right), "none"},
		{"VER-1", "several fields and no Message-ID", field(right) + field(right), "permerror"},
		{"ALG-3", "lower case", id + field(strings.ToLower(right)), "pass"},
		{"ALG-3", "padding", id + field(right+"===="), "pass"},
		{"ALG-3", "more padding", id + field(right+"======="), "pass"},
		{"ALG-4", "too short", id + field(right[1:]), "permerror"},
		{"ALG-4", "too long", id + field(right+"A"), "permerror"},
		{"ALG-4", "unused bits", id + field(right[:51]+"R"), "permerror"},
		{"ALG-4", "the hash by another algorithm", id + field(named("", "", "abc@example.org").Hashes[nameSHA1]), "permerror"},
		{"NAM-3", "the field above the id", field(right) + id, "pass"},
	} {
		tests = append(tests, Test{c.id, "verification: " + c.name, h.value(nameResult, []byte(c.message+"\nhello\n"), c.want)})
	}
	return tests
}
