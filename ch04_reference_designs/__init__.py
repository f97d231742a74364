"""Chapter 4: whole designs, built on chapter 3's loop."""
