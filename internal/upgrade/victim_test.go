package upgrade

func victim(string) {}
