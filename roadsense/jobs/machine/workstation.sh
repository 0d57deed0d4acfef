PACKAGES=(tmux)
prepare
