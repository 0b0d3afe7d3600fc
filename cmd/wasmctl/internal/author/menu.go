// SPDX-License-Identifier: Apache-2.0

package author

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"charm.land/huh/v2"
	"golang.org/x/term"

	"github.com/solarmesh/wasmplugin-operator/internal/scaffold"
)

// chooseLanguage asks with a menu. It stands on the standard error, so that the output can go to a file.
func chooseLanguage(ctx context.Context, in io.Reader, errOut io.Writer) (string, error) {
	if !isTerminal(in) || !isTerminal(errOut) {
		return "", fmt.Errorf("there is no terminal to ask for the language; give --language %s", strings.Join(scaffold.LanguageNames(), "|"))
	}
	chosen := scaffold.Go
	menu := huh.NewSelect[string]().
		Title("What language do you wish to use for the filter:").
		Options(choices()...).
		Value(&chosen)
	err := huh.NewForm(huh.NewGroup(menu)).WithInput(in).WithOutput(errOut).RunWithContext(ctx)
	switch {
	case errors.Is(err, huh.ErrUserAborted):
		return "", errors.New("no language was chosen, so nothing was made")
	case err != nil:
		return "", fmt.Errorf("the menu failed, give --language instead: %w", err)
	}
	return chosen, nil
}

func choices() []huh.Option[string] {
	var options []huh.Option[string]
	for _, language := range scaffold.Languages() {
		label := language.Name
		if language.Untested {
			label += " (untested)"
		}
		options = append(options, huh.NewOption(label, language.Name))
	}
	return options
}

func isTerminal(stream any) bool {
	file, isFile := stream.(*os.File)
	return isFile && term.IsTerminal(int(file.Fd()))
}
