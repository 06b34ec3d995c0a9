"""What flowcli is measured by. Not part of the package."""
