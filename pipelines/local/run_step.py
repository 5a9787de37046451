"""The program of one step on this machine: what KFP's container would run, with jobs forked from this process."""

from components.launch.here.fork_server import forking_jobs


def main() -> None:
    """Run the component that the command line names."""
    from kfp.dsl.executor_main import executor_main

    with forking_jobs():
        executor_main()


if __name__ == "__main__":
    main()
