//go:build !windows

// Command lifeboat brings a management server back.
package main

import (
	"os"

	"lifeboat/internal/cli"
)

func main() { os.Exit(cli.Main()) }
