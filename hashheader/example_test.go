package hashheader_test

import (
	"fmt"
	"strings"

	"permalink-milter/hashheader"
)

func ExampleExamine() {
	const message = "Message-ID: <87myycy5eh.fsf@uwakimon.sk.tsukuba.ac.jp>\n" +
		"Message-ID-MD5: 2FSRUHO6FOQVW42UNHOYWCUTJI\n" +
		"Message-ID-SHA1: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n" +
		"Archived-At: <https://lists.example.org/2FSRUHO6FOQVW42UNHOYWCUTJI>\n"
	header, err := hashheader.ReadHeader(strings.NewReader(message))
	if err != nil {
		fmt.Println(err)
		return
	}
	template, err := hashheader.ParseTemplate("https://lists.example.org/{token}")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, check := range hashheader.Examine(header, hashheader.Site{Templates: []hashheader.Template{template}}) {
		fmt.Println(check.Field, check.Result)
	}
	// Output:
	// Message-ID pass
	// Message-ID-MD5 pass
	// Message-ID-SHA1 fail
	// Archived-At pass
}

func ExampleTemplate_Expand() {
	template, err := hashheader.ParseTemplate("https://lists.example.org/list/{list}/message/{sha1}/")
	if err != nil {
		fmt.Println(err)
		return
	}
	url, err := template.Expand(hashheader.Permalink{
		List:      "devel@lists.example.org",
		MessageID: []byte("87myycy5eh.fsf@uwakimon.sk.tsukuba.ac.jp"),
	})
	fmt.Println(url, err)
	// Output: https://lists.example.org/list/devel@lists.example.org/message/JJIGKPKB6CVDX6B2CUG4IHAJRIQIOUTP/ <nil>
}
