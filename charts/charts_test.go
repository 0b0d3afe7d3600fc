// SPDX-License-Identifier: Apache-2.0

package charts

import (
	"io/fs"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestOperatorIsTheWholeFolder: an embed pattern that leaves out _helpers.tpl or .helmignore still compiles.
func TestOperatorIsTheWholeFolder(t *testing.T) {
	want, got := files(t, os.DirFS(".")), files(t, Operator)
	if diff := cmp.Diff(want, got); diff != "" || len(got) < 20 {
		t.Errorf("%d files are embedded (-folder +embedded):\n%s", len(got), diff)
	}
	for _, name := range []string{"templates/_helpers.tpl", ".helmignore", "files/crd.yaml"} {
		if _, found := got[Name+"/"+name]; !found {
			t.Errorf("%s is missing", name)
		}
	}
}

func files(t *testing.T, folder fs.FS) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := fs.WalkDir(folder, Name, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(folder, path)
		found[path] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
