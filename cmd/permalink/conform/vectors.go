package conform

import (
	_ "embed"
	"encoding/json"
)

// A message is a test message and its hashes, none where nothing names it.
type message struct {
	Name    string            `json:"name"`
	Message []byte            `json:"message"`          // base64 in JSON
	Hashes  map[string]string `json:"hashes,omitempty"` // by the field's name
}

// An identified is a message, its identity by Message-ID and Date, and its
// shortest claim behind its MD5 hash.
type identified struct {
	Name     string `json:"name"`
	Message  []byte `json:"message"`
	Identity string `json:"identity"`
	Claim    string `json:"claim"`
}

// A link is a template and the permalink of a message of a list, "" where it
// has none.
type link struct {
	Template string `json:"template"`
	List     string `json:"list"`
	Name     string `json:"name"`
	Message  []byte `json:"message"`
	URL      string `json:"url"`
}

//go:embed vectors.json
var vectorsJSON []byte

// vectors are what the tests send, and what is right for it. A test writes
// vectors.json from the folder testdata and the draft's appendixes.
var vectors = func() (v struct {
	MessageIDs []message    `json:"message_ids"`
	Sections   []message    `json:"sections"`
	Identities []identified `json:"identities"`
	Links      []link       `json:"links"`
	Forged     [][]byte     `json:"forged"` // values of Archived-At under https://a.example/, base64 in JSON
}) {
	if err := json.Unmarshal(vectorsJSON, &v); err != nil {
		panic(err) // it is part of the program
	}
	return v
}()

// Vectors returns the file of vectors as JSON.
func Vectors() []byte { return vectorsJSON }
