package stamp_test

import (
	"context"
	"fmt"
	"strings"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
	"permalink-milter/registry/memreg"
	"permalink-milter/registry/stamp"
)

func ExampleDecide() {
	url, err := hashheader.ParseTemplate("https://lists.example.org/{list}/{token}")
	if err != nil {
		fmt.Println(err)
		return
	}
	policy, err := stamp.NewPolicy(stamp.Policy{
		Emit:     []string{"Message-ID-MD5"},
		Identity: []string{"message-id", "date"},
		Archives: []stamp.Archive{{Name: "hyperkitty", Lists: []string{"*@lists.example.org"}, URL: url}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	permalinks := registry.New(memreg.New(), registry.Options{})
	defer permalinks.Close()

	header, err := hashheader.ReadHeader(strings.NewReader("To: devel@lists.example.org\nMessage-ID: <abc@example.org>\n\n"))
	if err != nil {
		fmt.Println(err)
		return
	}
	decision := stamp.Decide(&stamp.Message{Header: header}, policy, func(r registry.Request) (registry.Result, error) {
		return permalinks.Reserve(context.Background(), r)
	})
	for _, edit := range decision.Edits {
		fmt.Printf("%s %s: %s\n", edit.Op, edit.Name, edit.Value)
	}
	// Output:
	// add Message-ID-MD5: VP3JZR3MSKY5TQSMS5FHURHQXI
	// add Archived-At: <https://lists.example.org/devel@lists.example.org/VP3JZR3MSKY5TQSMS5FHURHQXI>
}
