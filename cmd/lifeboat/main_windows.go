// Command lifeboat is on Windows the program for an administrator's desk: the verbs that
// speak to a fleet server, and no others.
package main

import (
	"os"

	"lifeboat/internal/cli/remote"
)

func main() { os.Exit(remote.Main()) }
