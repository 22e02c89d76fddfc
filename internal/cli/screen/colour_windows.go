package screen

import (
	"os"

	"golang.org/x/sys/windows"
)

// colours has a console take escape sequences, and tells whether it does: since
// Windows 10 it can, when it is asked.
// https://learn.microsoft.com/windows/console/console-virtual-terminal-sequences
func colours(f *os.File) bool {
	var mode uint32
	console := windows.Handle(f.Fd())
	return windows.GetConsoleMode(console, &mode) == nil &&
		windows.SetConsoleMode(console, mode|windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING) == nil
}
