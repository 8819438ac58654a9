package progress

import (
	"os"
	"testing"
)

func TestTheBarKnowsHowMuchThereIs(t *testing.T) {
	dir := t.TempDir()
	os.MkdirAll(dir+"/a/b", 0o755)
	os.WriteFile(dir+"/a/1", make([]byte, 100), 0o600)
	os.WriteFile(dir+"/a/b/2", make([]byte, 20), 0o600)
	for want, inputs := range map[int64][]string{120: {dir}, 240: {dir + "/a/1", dir, dir + "/a/b/2", dir + "/none"}, -1: {dir, "-"}} {
		if got := totalSize(inputs); got != want {
			t.Errorf("%v: %d, want %d", inputs, got, want)
		}
	}
}
