// SPDX-License-Identifier: Apache-2.0

package install

import (
	"fmt"
	"io/fs"
	"strings"
	"time"

	"helm.sh/helm/v4/pkg/chart/loader/archive"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"

	"github.com/solarmesh/wasmplugin-operator/charts"
)

// loadChart is the chart that is built in.
func loadChart() (*chart.Chart, error) {
	var files []*archive.BufferedFile
	err := fs.WalkDir(charts.Operator, charts.Name, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(charts.Operator, path)
		files = append(files, &archive.BufferedFile{Name: strings.TrimPrefix(path, charts.Name+"/"), ModTime: time.Unix(0, 0), Data: content})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read the chart that is built in: %w", err)
	}
	loaded, err := loader.LoadFiles(files)
	if err != nil {
		return nil, fmt.Errorf("read the chart that is built in: %w", err)
	}
	return loaded, nil
}
