//! A send that outlives its app: when the app hangs up, what Meta answers still counts.

use std::pin::Pin;
use std::task::{Context, Poll};

use http::Response;
use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

use crate::body::ResponseBody;
use crate::error::ProxyError;

type Answer = Result<Response<ResponseBody>, ProxyError>;

/// A future that, if it is dropped before its end, runs on as a task. If the app hung up before its request was whole, it
/// fails at once there, and nothing goes out; else it ends with the verdict, at the latest with upstream's time-outs.
pub(super) struct Detaching {
    sending: Option<Pin<Box<dyn Future<Output = Answer> + Send>>>,
    tasks: TaskTracker,
}

impl Detaching {
    pub(super) fn new(sending: impl Future<Output = Answer> + Send + 'static, tasks: TaskTracker) -> Self {
        Self { sending: Some(Box::pin(sending)), tasks }
    }
}

impl Future for Detaching {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        let Some(sending) = &mut self.sending else { return Poll::Pending };
        let answer = sending.as_mut().poll(cx);
        if answer.is_ready() {
            self.sending = None;
        }
        answer
    }
}

impl Drop for Detaching {
    fn drop(&mut self) {
        // A future that panicked must not be polled again, and outside a runtime nothing can go on.
        if let (Some(sending), false, Ok(runtime)) =
            (self.sending.take(), std::thread::panicking(), Handle::try_current())
        {
            self.tasks.spawn_on(sending, &runtime);
        }
    }
}
