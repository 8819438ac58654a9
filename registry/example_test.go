package registry_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"permalink-milter/hashheader"
	"permalink-milter/registry"
	"permalink-milter/registry/memreg"
)

// Two messages with one Message-ID come to one list. The first gets the bare
// hash as its token, the second the hash with an ordinal.
func Example() {
	ctx := context.Background()
	reg := registry.New(memreg.New(), registry.Options{TTL: 30 * 24 * time.Hour})
	defer reg.Close()

	id := hashheader.Canonical(nil, "<abc@example.org>")
	hash, err := hashheader.MD5.Hash(id)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, date := range []string{"Tue, 24 Nov 2026 11:00:00 +0000", "Tue, 24 Nov 2026 11:05:00 +0000"} {
		header := hashheader.Header{{Name: "Message-ID", Value: "<abc@example.org>"}, {Name: "Date", Value: date}}
		r, err := reg.Reserve(ctx, registry.Request{
			List:     "devel@lists.example.org",
			Hash:     hash,
			Identity: hashheader.Identify(header, id, []string{"message-id", "date"}),
		})
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(r.Token(), r.Outcome)
	}
	// Output:
	// VP3JZR3MSKY5TQSMS5FHURHQXI reserved
	// VP3JZR3MSKY5TQSMS5FHURHQXI-2 reserved
}

// An archiver confirms that a message is archived, after which its permalink
// belongs to it for ever.
func Example_confirm() {
	ctx := context.Background()
	reg := registry.New(memreg.New(), registry.Options{})
	defer reg.Close()
	message := hashheader.Identity{1}
	request := registry.Request{List: "devel@lists.example.org", Hash: "VP3JZR3MSKY5TQSMS5FHURHQXI", Identity: message}
	if _, err := reg.Reserve(ctx, request); err != nil {
		fmt.Println(err)
		return
	}
	r, err := reg.Confirm(ctx, registry.Confirmation{
		List:     request.List,
		Token:    request.Hash,
		Identity: message,
		URL:      "https://archive.example.org/1",
		Subject:  "Hello",
	})
	fmt.Println(r.State, r.URL, err)
	err = reg.Release(ctx, request.List, request.Hash, message)
	fmt.Println(errors.Is(err, registry.ErrArchived))
	// Output:
	// archived https://archive.example.org/1 <nil>
	// true
}

func ExampleReservation_JSON() {
	r := registry.Reservation{
		List:    "devel@lists.example.org",
		Hash:    "VP3JZR3MSKY5TQSMS5FHURHQXI",
		Ordinal: 2,
		State:   registry.Reserved,
		Since:   time.Date(2026, 11, 24, 11, 0, 0, 0, time.UTC),
	}
	e := json.NewEncoder(os.Stdout)
	e.SetIndent("", "  ")
	e.Encode(r.JSON())
	// Output:
	// {
	//   "list": "devel@lists.example.org",
	//   "token": "VP3JZR3MSKY5TQSMS5FHURHQXI-2",
	//   "identity": "00000000000000000000000000000000",
	//   "state": "reserved",
	//   "since": "2026-11-24T11:00:00Z"
	// }
}
