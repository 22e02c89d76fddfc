package wire

import "lifeboat/internal/fleet/record"

// Person is somebody who may sign in to the console.
type Person struct {
	record.User
	Password bool `json:"password" doc:"Signs in by a password of the fleet's own"`
	OneTime  bool `json:"one_time" doc:"Needs a one-time password too"`
}

// NewPerson asks for an account. Without a password it cannot be signed in to until
// one is set.
type NewPerson struct {
	Name     string      `json:"name" minLength:"1" maxLength:"64"`
	Role     record.Role `json:"role" enum:"viewer,operator,administrator"`
	Password string      `json:"password,omitempty"`
}
