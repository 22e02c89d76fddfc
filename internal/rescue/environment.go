package rescue

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"lifeboat/internal/rescue/configuration"
)

// encodeEnvironment is what is kept of a secret's variables; nil for none.
func encodeEnvironment(variables map[string]string) ([]byte, error) {
	if len(variables) == 0 {
		return nil, nil
	}
	return json.Marshal(variables)
}

// Environment gives what the stores of a fetched configuration read of the
// environment, so that a recovery that is resumed has it again.
func Environment(root string) (map[string]string, error) {
	file := filepath.Join(root, environment)
	info, err := os.Lstat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil && (!info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 || info.Size() > configuration.MaxSecret) {
		err = errors.New("it is not as it was written")
	}
	var text []byte
	if err == nil {
		text, err = os.ReadFile(file)
	}
	variables := map[string]string{}
	if err == nil {
		err = json.Unmarshal(text, &variables)
	}
	for name, value := range variables {
		if err == nil {
			err = configuration.Variable(name, value)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	return variables, nil
}

// Forget removes the passwords, variables and the name that Place has put in place beside the
// host's own files.
func Forget(root string) error {
	dir := filepath.Join(root, ownDir)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("remove the rescue system's secrets: %w", err)
	}
	for _, e := range entries {
		if e.Type().IsRegular() {
			err = errors.Join(err, os.Remove(filepath.Join(dir, e.Name())))
		}
	}
	return errors.Join(err, os.Remove(dir))
}
