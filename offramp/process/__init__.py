"""Services as child processes: started, awaited, kept alive, ended with their parent."""
